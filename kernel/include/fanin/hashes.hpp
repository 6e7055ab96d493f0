// The keys of several streams at once, a message in each lane of a vector.
//
// `Lanes` says how: `Words` is a vector of `count` 64-bit words, with `load`, `store`, `all`, `add`, `either`
// (exclusive or) and `rotate<by>` (to the right).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/keys.hpp"
#include "fanin/blake2b.hpp"

namespace fanin {

// Keys of texts whose messages fit one block each, with the role of weights.
template <class Lanes>
static inline void short_keys(std::uint64_t seed, const std::string_view* names, Key* out) {
    using Words = typename Lanes::Words;
    constexpr std::size_t count = Lanes::count;
    alignas(64) std::uint64_t message[16][count], length[count], digest[2][count];
    for (std::size_t lane = 0; lane < count; ++lane) {
        unsigned char block[128];
        length[lane] = short_message(seed, names[lane], block);
        for (int i = 0; i < 16; ++i) message[i][lane] = blake2b_word(block + 8 * i);
    }
    Words v[16];
    for (int i = 0; i < 8; ++i) v[i] = v[i + 8] = Lanes::all(blake2b_start[i]);
    const std::uint64_t first = blake2b_start[0] ^ blake2b_parameters(16);
    v[0] = Lanes::all(first);
    v[12] = Lanes::either(v[12], Lanes::load(length));
    v[14] = Lanes::all(~blake2b_start[6]);
FANIN_UNROLL
    for (int round = 0; round < 12; ++round) {
        const unsigned char* const order = blake2b_order[round % 10];
        const auto mix = [&](int a, int b, int c, int d, int i) {
            v[a] = Lanes::add(v[a], Lanes::add(v[b], Lanes::load(message[order[i]])));
            v[d] = Lanes::template rotate<32>(Lanes::either(v[d], v[a]));
            v[c] = Lanes::add(v[c], v[d]);
            v[b] = Lanes::template rotate<24>(Lanes::either(v[b], v[c]));
            v[a] = Lanes::add(v[a], Lanes::add(v[b], Lanes::load(message[order[i + 1]])));
            v[d] = Lanes::template rotate<16>(Lanes::either(v[d], v[a]));
            v[c] = Lanes::add(v[c], v[d]);
            v[b] = Lanes::template rotate<63>(Lanes::either(v[b], v[c]));
        };
FANIN_UNROLL
        for (int i = 0; i < 4; ++i) mix(i, 4 + i, 8 + i, 12 + i, 2 * i);
FANIN_UNROLL
        for (int i = 0; i < 4; ++i) mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, 8 + 2 * i);
    }
    Lanes::store(digest[0], Lanes::either(Lanes::all(first), Lanes::either(v[0], v[8])));
    Lanes::store(digest[1], Lanes::either(Lanes::all(blake2b_start[1]), Lanes::either(v[1], v[9])));
    for (std::size_t lane = 0; lane < count; ++lane) out[lane] = key_of_digest(digest[0][lane], digest[1][lane]);
}

// Path::keys.
template <class Lanes>
static inline void keys_in_lanes(std::uint64_t seed, const std::string_view* names, std::size_t count, Key* out) {
    std::size_t done = 0;
    for (; done + Lanes::count <= count; done += Lanes::count) {
        bool fits = true;
        for (std::size_t lane = 0; lane < Lanes::count; ++lane) fits = fits && names[done + lane].size() <= longest_short;
        if (fits) {
            short_keys<Lanes>(seed, names + done, out + done);
        } else {
            keys_one_by_one(seed, names + done, Lanes::count, out + done);
        }
    }
    keys_one_by_one(seed, names + done, count - done, out + done);
}

}  // namespace fanin
