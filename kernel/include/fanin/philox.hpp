// Philox4x32-10 (Salmon et al., SC 2011) and the words of a stream, one block at a time.
//
// Helpers here and in transform.hpp and cast.hpp are static on purpose: each instruction-set path
// compiles its own copy, and the linker must not merge an AVX copy into the portable path.
#pragma once

#include <cstddef>
#include <cstdint>

// Before a loop with a constant count: the vector paths want no loop there.
#if defined(__clang__)
#define FANIN_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define FANIN_UNROLL _Pragma("GCC unroll 20")
#else
#define FANIN_UNROLL
#endif

namespace fanin {

struct Key {
    std::uint32_t key0, key1, counter2, counter3;
};

constexpr std::uint32_t philox_m0 = 0xD2511F53u, philox_m1 = 0xCD9E8D57u;
constexpr std::uint32_t philox_w0 = 0x9E3779B9u, philox_w1 = 0xBB67AE85u;
constexpr int philox_rounds = 10;

// The further word an element needs in float64 comes from the same block of the stream whose
// highest counter word is complemented.
static inline Key second_key(Key key) {
    key.counter3 = ~key.counter3;
    return key;
}

// Four words from a 128-bit counter, in place.
static inline void philox(std::uint32_t counter[4], std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < philox_rounds; ++round) {
        const std::uint64_t first = std::uint64_t{philox_m0} * counter[0];
        const std::uint64_t second = std::uint64_t{philox_m1} * counter[2];
        counter[0] = static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key0;
        counter[1] = static_cast<std::uint32_t>(second);
        counter[2] = static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key1;
        counter[3] = static_cast<std::uint32_t>(first);
        key0 += philox_w0;
        key1 += philox_w1;
    }
}

static inline void philox_block(const Key& key, std::uint64_t block, std::uint32_t out[4]) {
    out[0] = static_cast<std::uint32_t>(block);
    out[1] = static_cast<std::uint32_t>(block >> 32);
    out[2] = key.counter2;
    out[3] = key.counter3;
    philox(out, key.key0, key.key1);
}

// What the blocks of one high counter word share. Their first round multiplies one word that differs
// and one that does not, the second likewise: half of their work is done here, once.
struct Schedule {
    std::uint64_t keys0[philox_rounds], keys1[philox_rounds];
    std::uint64_t last_keys;
    std::uint64_t first_c, second_a, second_c, third_c;
};

static inline Schedule schedule_of(const Key& key, std::uint32_t high) {
    Schedule made;
    std::uint32_t key0 = key.key0, key1 = key.key1;
    for (int round = 0; round < philox_rounds; ++round) {
        made.keys0[round] = key0;
        made.keys1[round] = key1;
        key0 += philox_w0;
        key1 += philox_w1;
    }
    made.last_keys = made.keys0[philox_rounds - 1] | (made.keys1[philox_rounds - 1] << 32);
    const std::uint64_t q = std::uint64_t{philox_m1} * key.counter2;
    const std::uint64_t p = philox_m0 * ((q >> 32) ^ high ^ made.keys0[0]);
    made.first_c = key.counter3 ^ made.keys1[0];
    made.second_a = (q & 0xFFFFFFFFu) ^ made.keys0[1];
    made.second_c = (p >> 32) ^ made.keys1[1];
    made.third_c = (p & 0xFFFFFFFFu) ^ made.keys1[2];
    return made;
}

// Words of elements [begin, begin + count), whatever their place in a block.
static inline void philox_words(const Key& key, std::uint64_t begin, std::size_t count, std::uint32_t* out) {
    std::uint32_t block[4];
    std::size_t done = 0;
    while (done < count) {
        const std::uint64_t element = begin + done;
        philox_block(key, element >> 2, block);
        for (unsigned word = element & 3; word < 4 && done < count; ++word) out[done++] = block[word];
    }
}

}  // namespace fanin
