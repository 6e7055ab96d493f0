// The key of a stream: SPEC.md, section 1.
#include "fanin/keys.hpp"

#include <string>

#include "fanin/blake2b.hpp"

namespace fanin {
namespace {

constexpr std::uint32_t stream_version = 1;

void append(std::string& message, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) message.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

void append(std::string& message, std::string_view text) {
    append(message, text.size(), 4);
    message.append(text);
}

}  // namespace

Key stream_key(std::uint64_t seed, const std::string_view* name, std::size_t parts, std::string_view role) {
    std::string message;
    message.reserve(128);
    message += "fanin stream";
    append(message, stream_version, 4);
    append(message, seed, 8);
    append(message, parts, 4);
    for (std::size_t i = 0; i < parts; ++i) append(message, name[i]);
    append(message, role);
    const Blake2b hash = blake2b(reinterpret_cast<const unsigned char*>(message.data()), message.size(), 16);
    const auto word = [&](int i) { return static_cast<std::uint32_t>(hash.state[i / 2] >> (32 * (i % 2))); };
    return {word(0), word(1), word(2), word(3)};
}

}  // namespace fanin
