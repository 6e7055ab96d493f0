// The arithmetic of the AVX-512 paths: 32 blocks (128 words) at once, octave rows looked up in registers.
//
// In an unnamed namespace: each file that is compiled for these instructions has its own.
#pragma once

#include <immintrin.h>

#include "fanin/batches.hpp"

#define FANIN_INLINE inline __attribute__((always_inline))

namespace fanin {
namespace {

using Words = __m512i;
using Floats = __m512;

// Groups of 8 blocks that run side by side: one more hides the multiplication's latency no better,
// one less does not hide it.
constexpr int groups = 4;
constexpr std::size_t blocks_at_once = 8 * groups;
constexpr std::size_t at_once = 4 * blocks_at_once;

FANIN_INLINE Words all64(std::uint64_t value) { return _mm512_set1_epi64(static_cast<long long>(value)); }
FANIN_INLINE Words all32(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
FANIN_INLINE Words xor3(Words a, Words b, Words c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
// Even 32-bit lanes of one, odd lanes of the other from its even or odd lanes.
FANIN_INLINE Words even_even(Words a, Words b) { return _mm512_mask_shuffle_epi32(a, 0xAAAA, b, _MM_PERM_CCAA); }
FANIN_INLINE Words odd_odd(Words a, Words b) { return _mm512_mask_shuffle_epi32(b, 0x5555, a, _MM_PERM_DDBB); }

// Nine rounds of each group and the products of the tenth, from the first round's products of the first
// group and what those of each group have more. A block's four words live in 64-bit lanes
// of four vectors, because the multiplication takes the lower and gives all 64 bits; what stands in the
// upper half of a lane is never read by it.
struct State {
    Words b[groups], d[groups], p[groups], q[groups];
};

FANIN_INLINE State philox_rounds_of(const Schedule& schedule, Words products, const Words after[groups]) {
    State state;
    Words a[groups], c[groups];
    const Words m0 = all64(philox_m0), m1 = all64(philox_m1);
    for (int h = 0; h < groups; ++h) {
        // The first round's products of blocks evenly apart are sums.
        const Words p = h == 0 ? products : _mm512_add_epi64(products, after[h]);
        const Words first = _mm512_xor_si512(_mm512_srli_epi64(p, 32), all64(schedule.first_c));
        const Words q = _mm512_mul_epu32(first, m1);
        a[h] = _mm512_xor_si512(_mm512_srli_epi64(q, 32), all64(schedule.second_a));
        c[h] = _mm512_xor_si512(p, all64(schedule.second_c));
        state.b[h] = q;
    }
    for (int h = 0; h < groups; ++h) {
        const Words p = _mm512_mul_epu32(a[h], m0), q = _mm512_mul_epu32(c[h], m1);
        a[h] = xor3(_mm512_srli_epi64(q, 32), state.b[h], all64(schedule.keys0[2]));
        c[h] = _mm512_xor_si512(_mm512_srli_epi64(p, 32), all64(schedule.third_c));
        state.b[h] = q;
        state.d[h] = p;
    }
FANIN_UNROLL
    for (int round = 3; round < philox_rounds - 1; ++round) {
        for (int h = 0; h < groups; ++h) {
            const Words p = _mm512_mul_epu32(a[h], m0), q = _mm512_mul_epu32(c[h], m1);
            a[h] = xor3(_mm512_srli_epi64(q, 32), state.b[h], all64(schedule.keys0[round]));
            c[h] = xor3(_mm512_srli_epi64(p, 32), state.d[h], all64(schedule.keys1[round]));
            state.b[h] = q;
            state.d[h] = p;
        }
    }
    for (int h = 0; h < groups; ++h) {
        state.p[h] = _mm512_mul_epu32(a[h], m0);
        state.q[h] = _mm512_mul_epu32(c[h], m1);
    }
    return state;
}

// Words 0 and 2 of each block in x, 1 and 3 in y.
FANIN_INLINE void plain_words(const Schedule& schedule, const State& state, Words x[groups], Words y[groups]) {
    for (int h = 0; h < groups; ++h) {
        x[h] = xor3(odd_odd(state.q[h], state.p[h]), even_even(state.b[h], state.d[h]), all64(schedule.last_keys));
        y[h] = even_even(state.q[h], state.p[h]);
    }
}

// The same, mapped to start + floor((word + 1/2) width / 2^32) for width < 2^32: `offset` is the start in
// the upper half and half the width in the lower.
FANIN_INLINE void window_words(const Schedule& schedule, const State& state, Words width, Words offset,
                               Words x[groups], Words y[groups]) {
    const Words k0 = all64(schedule.keys0[philox_rounds - 1]), k1 = all64(schedule.keys1[philox_rounds - 1]);
    const auto mapped = [&](Words word) { return _mm512_add_epi64(_mm512_mul_epu32(word, width), offset); };
    for (int h = 0; h < groups; ++h) {
        const Words a = xor3(_mm512_srli_epi64(state.q[h], 32), state.b[h], k0);
        const Words c = xor3(_mm512_srli_epi64(state.p[h], 32), state.d[h], k1);
        x[h] = odd_odd(mapped(a), mapped(c));
        y[h] = odd_odd(mapped(state.q[h]), mapped(state.p[h]));
    }
}

// Column k holds the octave whose biased exponent is k modulo 32, so the exponent itself is the index.
struct Octaves {
    alignas(64) float rows[narrow_degree + 1][32];
};

constexpr Octaves make_octaves() {
    Octaves made = {};
    for (int j = 0; j <= narrow_degree; ++j)
        for (unsigned k = 0; k < 32; ++k) made.rows[j][k] = narrow_table[j][(k + 1) & 31];
    return made;
}

constexpr Octaves octaves = make_octaves();

// The table in registers.
struct Table {
    Floats low[narrow_degree + 1], high[narrow_degree + 1];
};

FANIN_INLINE Table table_in_registers() {
    Table table;
    for (int j = 0; j <= narrow_degree; ++j) {
        table.low[j] = _mm512_load_ps(octaves.rows[j]);
        table.high[j] = _mm512_load_ps(octaves.rows[j] + 16);
        // Or the compiler would load them again for each use.
        __asm__("" : "+v"(table.low[j]), "+v"(table.high[j]));
    }
    return table;
}

// Normals of several vectors in step, so that their long chains overlap.
template <int count>
FANIN_INLINE void normals_of(const Table& table, const Words* word, Floats* out) {
    const Words one = all32(1), cut = all32(0xFFFFFFFEu), mantissas = all32(0x007FFFFFu), ones = all32(0x3F800000u);
    Words octave[count];
    Floats r[count], t[count];
    for (int k = 0; k < count; ++k) {
        // The float of w | 1 is that of v with the sign of w: neither index nor mantissa reads a sign.
        const Words bits = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_or_si512(word[k], one)));
        octave[k] = _mm512_srli_epi32(bits, 23);
        const Words mantissa = _mm512_ternarylogic_epi32(bits, mantissas, ones, 0xEA);  // (a & b) | c
        r[k] = _mm512_sub_ps(_mm512_castsi512_ps(mantissa), _mm512_set1_ps(1.5f));
    }
    const auto row = [&](int j, int k) {
        return _mm512_permutex2var_ps(table.low[j], octave[k], table.high[j]);
    };
    for (int k = 0; k < count; ++k) t[k] = row(narrow_degree, k);
FANIN_UNROLL
    for (int j = narrow_degree - 1; j >= 0; --j) {
        for (int k = 0; k < count; ++k) {
            const Words product = _mm512_and_si512(_mm512_castps_si512(_mm512_mul_ps(t[k], r[k])), cut);
            t[k] = _mm512_add_ps(row(j, k), _mm512_castsi512_ps(product));
        }
    }
    for (int k = 0; k < count; ++k)  // t ^ (word & sign bit)
        out[k] = _mm512_castsi512_ps(
            _mm512_ternarylogic_epi32(_mm512_castps_si512(t[k]), word[k], all32(0x80000000u), 0x78));
}

// Where one side equals the other the base (the second operand) is kept, as in element.hpp.
FANIN_INLINE Floats clamped(Floats base, Floats low, Floats high) {
    return _mm512_min_ps(high, _mm512_max_ps(low, base));
}

// Rounding the pattern is all there is to bfloat16: draws hold no NaN (recipes are checked).
FANIN_INLINE Words rounded_up(Floats value) {
    const Words bits = _mm512_castps_si512(value);
    const Words up = _mm512_add_epi32(bits, all32(0x7FFF));
    return _mm512_mask_sub_epi32(up, _mm512_test_epi32_mask(bits, all32(0x10000)), up, all32(0xFFFFFFFFu));
}

FANIN_INLINE __m256i to_float16(Floats value) {
    return _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

FANIN_INLINE Words pairs(Floats x, Floats y) {
    const Words high = _mm512_srli_epi32(rounded_up(x), 16);
    return _mm512_ternarylogic_epi32(high, rounded_up(y), all32(0xFFFF0000u), 0xF8);  // a | (b & c)
}

// Which blocks a batch holds: that of a lane of a group is the batch's first and `apart` times the lane's
// number, the group's number added.
struct Deal {
    Words lanes;
    std::uint64_t after[groups];
};

// Whole batches from the block on; none may cross a multiple of 2^32 blocks. `Out` deals the blocks, `apart`
// from each other, and puts a batch's values where they belong: words 0 and 2 of group h are in value[h],
// 1 and 3 in value[groups + h].
template <Kind kind, bool clamp_base, bool shifted, class Out>
__attribute__((noinline)) void batches(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count,
                                       Out out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    // A uniform's two multiplications are one: the factors 2^-31 and 2^7 are exact.
    const Floats scale = _mm512_set1_ps(static_cast<float>(recipe.scale) * (kind == Kind::uniform ? 0x1p-31f : 1.0f));
    const Floats shift = _mm512_set1_ps(static_cast<float>(recipe.shift));
    const Floats low = _mm512_set1_ps(static_cast<float>(recipe.low));
    const Floats high = _mm512_set1_ps(static_cast<float>(recipe.high));
    const Words width = all64(recipe.width), offset = all64((recipe.start << 32) + (recipe.width >> 1));
    const Deal deal = Out::deal();
    const Words numbers = _mm512_add_epi64(all64(block & 0xFFFFFFFFu), _mm512_mul_epu32(deal.lanes, all64(out.apart)));
    Words products = _mm512_mul_epu32(numbers, all64(philox_m0)), after[groups];
    for (int h = 0; h < groups; ++h) after[h] = all64(deal.after[h] * out.apart * philox_m0);
    const Words next = all64(blocks_at_once * out.apart * philox_m0);
    if constexpr (kind == Kind::uniform) {
        for (std::size_t i = 0; i < count; ++i) {
            Words word[2 * groups];
            Floats value[2 * groups];
            const State state = philox_rounds_of(schedule, products, after);
            products = _mm512_add_epi64(products, next);
            plain_words(schedule, state, word, word + groups);
            for (int k = 0; k < 2 * groups; ++k) {  // (w & ~127) | 128 = ((w >> 7) | 1) << 7
                value[k] = _mm512_cvtepi32_ps(_mm512_ternarylogic_epi32(word[k], all32(0xFFFFFF80u), all32(0x80u), 0xEA));
                value[k] = _mm512_mul_ps(value[k], scale);
                if constexpr (shifted) value[k] = clamped(_mm512_add_ps(value[k], shift), low, high);
            }
            out.put(value);
        }
        return;
    }
    // The words of some batches first, then their normals: fewer registers in use at once, so fewer of them
    // go to memory and back.
    constexpr std::size_t some = 4;
    const Table table = table_in_registers();
    Words word[some][2 * groups];
    while (count > 0) {
        const std::size_t now = std::min(some, count);
        for (std::size_t i = 0; i < now; ++i) {
            Words x[groups], y[groups];
            const State state = philox_rounds_of(schedule, products, after);
            products = _mm512_add_epi64(products, next);
            if constexpr (kind == Kind::truncated) {
                window_words(schedule, state, width, offset, x, y);
            } else {
                plain_words(schedule, state, x, y);
            }
            for (int h = 0; h < groups; ++h) {
                word[i][h] = x[h];
                word[i][groups + h] = y[h];
            }
        }
        for (std::size_t i = 0; i < now; ++i) {
            Floats value[2 * groups];
            normals_of<2 * groups>(table, word[i], value);
            for (int k = 0; k < 2 * groups; ++k) {
                if constexpr (clamp_base) value[k] = clamped(value[k], low, high);
                value[k] = _mm512_mul_ps(value[k], scale);
                if constexpr (shifted) value[k] = _mm512_add_ps(value[k], shift);
            }
            out.put(value);
        }
        count -= now;
    }
}

}  // namespace
}  // namespace fanin
