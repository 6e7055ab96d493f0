// Which stream a parameter draws from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "fanin/philox.hpp"

namespace fanin {

constexpr std::uint32_t stream_version = 1;

// The key of (version, seed, name, role), all text in UTF-8.
Key stream_key(std::uint64_t seed, const std::string_view* name, std::size_t parts, std::string_view role);

// The keys of names of one part, with the role of weights.
void keys_one_by_one(std::uint64_t seed, const std::string_view* names, std::size_t count, Key* out);

static inline Key key_of_digest(std::uint64_t first, std::uint64_t second) {
    const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
    return {low(first), low(first >> 32), low(second), low(second >> 32)};
}

// What is hashed for a name of one part and the role of weights, where it fits one block of 128 bytes: the
// commonest case, without memory of its own. Returns the message's length; zeros follow it.
constexpr std::size_t longest_short = 128 - 42;

static inline std::size_t short_message(std::uint64_t seed, std::string_view name, unsigned char* block) {
    std::memset(block, 0, 128);
    const auto number = [block](std::size_t at, std::uint64_t value, std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i) block[at + i] = static_cast<unsigned char>(value >> (8 * i));
    };
    std::memcpy(block, "fanin stream", 12);
    number(12, stream_version, 4);
    number(16, seed, 8);
    number(24, 1, 4);
    number(28, name.size(), 4);
    std::memcpy(block + 32, name.data(), name.size());
    const std::size_t end = 32 + name.size();
    number(end, 6, 4);
    std::memcpy(block + end + 4, "weight", 6);
    return end + 10;
}

}  // namespace fanin
