// BLAKE2b (RFC 7693) without a key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fanin/philox.hpp"

namespace fanin {

struct Blake2b {
    std::uint64_t state[8];
};

static inline std::uint64_t rotate_right(std::uint64_t value, int by) { return value >> by | value << (64 - by); }

// Words are little-endian, whatever the processor's order; compilers see one load here.
static inline std::uint64_t blake2b_word(const unsigned char* b) {
    const auto byte = [b](int i) { return static_cast<std::uint64_t>(b[i]) << (8 * i); };
    return byte(0) | byte(1) | byte(2) | byte(3) | byte(4) | byte(5) | byte(6) | byte(7);
}

constexpr std::uint64_t blake2b_start[8] = {0x6A09E667F3BCC908u, 0xBB67AE8584CAA73Bu, 0x3C6EF372FE94F82Bu,
                                            0xA54FF53A5F1D36F1u, 0x510E527FADE682D1u, 0x9B05688C2B3E6C1Fu,
                                            0x1F83D9ABFB41BD6Bu, 0x5BE0CD19137E2179u};

constexpr unsigned char blake2b_order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

// What a digest's size does to the first word of the state, without a key.
constexpr std::uint64_t blake2b_parameters(unsigned size) { return 0x01010000u ^ size; }

// Mix in one block of 128 bytes, after which `length` bytes of the message have been seen.
static inline void blake2b_block(Blake2b& hash, const unsigned char* block, std::uint64_t length, bool last) {
    std::uint64_t m[16], v[16];
    for (int i = 0; i < 16; ++i) m[i] = blake2b_word(block + 8 * i);
    for (int i = 0; i < 8; ++i) {
        v[i] = hash.state[i];
        v[i + 8] = blake2b_start[i];
    }
    v[12] ^= length;  // messages of 2^64 bytes are not served
    if (last) v[14] = ~v[14];
FANIN_UNROLL
    for (int round = 0; round < 12; ++round) {
        const unsigned char* const order = blake2b_order[round % 10];
        const auto mix = [&](int a, int b, int c, int d, int i) {
            v[a] += v[b] + m[order[i]];
            v[d] = rotate_right(v[d] ^ v[a], 32);
            v[c] += v[d];
            v[b] = rotate_right(v[b] ^ v[c], 24);
            v[a] += v[b] + m[order[i + 1]];
            v[d] = rotate_right(v[d] ^ v[a], 16);
            v[c] += v[d];
            v[b] = rotate_right(v[b] ^ v[c], 63);
        };
        for (int i = 0; i < 4; ++i) mix(i, 4 + i, 8 + i, 12 + i, 2 * i);
        for (int i = 0; i < 4; ++i) mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, 8 + 2 * i);
    }
    for (int i = 0; i < 8; ++i) hash.state[i] ^= v[i] ^ v[i + 8];
}

// The first `size` bytes of state are the digest; `size` is a parameter of the hash.
static inline Blake2b blake2b(const unsigned char* message, std::size_t length, unsigned size) {
    Blake2b hash;
    for (int i = 0; i < 8; ++i) hash.state[i] = blake2b_start[i];
    hash.state[0] ^= blake2b_parameters(size);
    std::size_t done = 0;
    for (; length - done > 128; done += 128) blake2b_block(hash, message + done, done + 128, false);
    unsigned char block[128] = {};
    std::memcpy(block, message + done, length - done);
    blake2b_block(hash, block, length, true);
    return hash;
}

}  // namespace fanin
