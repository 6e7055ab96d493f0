// The key of a stream: SPEC.md, section 1.
#include "fanin/keys.hpp"

#include <string>

#include "fanin/blake2b.hpp"

namespace fanin {
namespace {

void append(std::string& message, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) message.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

void append(std::string& message, std::string_view text) {
    append(message, text.size(), 4);
    message.append(text);
}

Key hashed(const unsigned char* message, std::size_t length) {
    const Blake2b hash = blake2b(message, length, 16);
    return key_of_digest(hash.state[0], hash.state[1]);
}

}  // namespace

Key stream_key(std::uint64_t seed, const std::string_view* name, std::size_t parts, std::string_view role) {
    if (parts == 1 && name->size() <= longest_short && role == "weight") {
        unsigned char block[128];
        const std::size_t length = short_message(seed, *name, block);
        return hashed(block, length);
    }
    std::string message;
    message.reserve(128);
    message += "fanin stream";
    append(message, stream_version, 4);
    append(message, seed, 8);
    append(message, parts, 4);
    for (std::size_t i = 0; i < parts; ++i) append(message, name[i]);
    append(message, role);
    return hashed(reinterpret_cast<const unsigned char*>(message.data()), message.size());
}

void keys_one_by_one(std::uint64_t seed, const std::string_view* names, std::size_t count, Key* out) {
    for (std::size_t i = 0; i < count; ++i) out[i] = stream_key(seed, names + i, 1, "weight");
}

}  // namespace fanin
