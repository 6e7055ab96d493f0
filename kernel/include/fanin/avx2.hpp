// The arithmetic of the AVX2 path: 12 blocks (48 words) at once; the eight commonest octaves are looked up in
// registers, and the few elements of a rarer one are computed again, one by one.
//
// In an unnamed namespace: each file that is compiled for these instructions has its own.
#pragma once

#include <immintrin.h>

#include "fanin/batches.hpp"

#define FANIN_INLINE inline __attribute__((always_inline))

namespace fanin {
namespace {

using Words = __m256i;
using Floats = __m256;

// Groups of 4 blocks that run side by side.
constexpr int groups = 3;
constexpr int vectors = 2 * groups;
constexpr std::size_t blocks_at_once = 4 * groups;
constexpr std::size_t at_once = 4 * blocks_at_once;
constexpr int coefficients = narrow_degree + 1;
// Octaves 23 to 30: all words but 1 in 256.
constexpr int first_common = 23;
constexpr std::uint32_t first_pattern = static_cast<std::uint32_t>(first_common + 127) << 23;

struct Common {
    alignas(32) float rows[coefficients][8];
};

constexpr Common make_common() {
    Common common = {};
    for (int j = 0; j < coefficients; ++j)
        for (int k = 0; k < 8; ++k) common.rows[j][k] = narrow_table[j][first_common + k];
    return common;
}

constexpr Common common = make_common();

FANIN_INLINE Words all64(std::uint64_t value) { return _mm256_set1_epi64x(static_cast<long long>(value)); }
FANIN_INLINE Words all32(std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
FANIN_INLINE Words xor3(Words a, Words b, Words c) { return _mm256_xor_si256(a, _mm256_xor_si256(b, c)); }
// Even 32-bit lanes of one, odd lanes of the other from its even or odd lanes.
FANIN_INLINE Words even_even(Words a, Words b) { return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA); }
FANIN_INLINE Words odd_odd(Words a, Words b) { return _mm256_blend_epi32(_mm256_srli_epi64(a, 32), b, 0xAA); }

// See avx512.hpp: words 0 and 2 of a block lie in a lane of x, 1 and 3 in one of y.
struct State {
    Words b[groups], d[groups], p[groups], q[groups];
};

FANIN_INLINE State philox_rounds_of(const Schedule& schedule, Words products, const Words after[groups]) {
    State state;
    Words a[groups], c[groups];
    const Words m0 = all64(philox_m0), m1 = all64(philox_m1);
    for (int h = 0; h < groups; ++h) {
        // The first round's products of blocks evenly apart are sums.
        const Words p = h == 0 ? products : _mm256_add_epi64(products, after[h]);
        const Words first = _mm256_xor_si256(_mm256_srli_epi64(p, 32), all64(schedule.first_c));
        const Words q = _mm256_mul_epu32(first, m1);
        a[h] = _mm256_xor_si256(_mm256_srli_epi64(q, 32), all64(schedule.second_a));
        c[h] = _mm256_xor_si256(p, all64(schedule.second_c));
        state.b[h] = q;
    }
    for (int h = 0; h < groups; ++h) {
        const Words p = _mm256_mul_epu32(a[h], m0), q = _mm256_mul_epu32(c[h], m1);
        a[h] = xor3(_mm256_srli_epi64(q, 32), state.b[h], all64(schedule.keys0[2]));
        c[h] = _mm256_xor_si256(_mm256_srli_epi64(p, 32), all64(schedule.third_c));
        state.b[h] = q;
        state.d[h] = p;
    }
FANIN_UNROLL
    for (int round = 3; round < philox_rounds - 1; ++round) {
        for (int h = 0; h < groups; ++h) {
            const Words p = _mm256_mul_epu32(a[h], m0), q = _mm256_mul_epu32(c[h], m1);
            a[h] = xor3(_mm256_srli_epi64(q, 32), state.b[h], all64(schedule.keys0[round]));
            c[h] = xor3(_mm256_srli_epi64(p, 32), state.d[h], all64(schedule.keys1[round]));
            state.b[h] = q;
            state.d[h] = p;
        }
    }
    for (int h = 0; h < groups; ++h) {
        state.p[h] = _mm256_mul_epu32(a[h], m0);
        state.q[h] = _mm256_mul_epu32(c[h], m1);
    }
    return state;
}

FANIN_INLINE void plain_words(const Schedule& schedule, const State& state, Words x[groups], Words y[groups]) {
    for (int h = 0; h < groups; ++h) {
        x[h] = xor3(odd_odd(state.q[h], state.p[h]), even_even(state.b[h], state.d[h]), all64(schedule.last_keys));
        y[h] = even_even(state.q[h], state.p[h]);
    }
}

FANIN_INLINE void window_words(const Schedule& schedule, const State& state, Words width, Words offset,
                               Words x[groups], Words y[groups]) {
    const Words k0 = all64(schedule.keys0[philox_rounds - 1]), k1 = all64(schedule.keys1[philox_rounds - 1]);
    const auto mapped = [&](Words word) { return _mm256_add_epi64(_mm256_mul_epu32(word, width), offset); };
    for (int h = 0; h < groups; ++h) {
        const Words a = xor3(_mm256_srli_epi64(state.q[h], 32), state.b[h], k0);
        const Words c = xor3(_mm256_srli_epi64(state.p[h], 32), state.d[h], k1);
        x[h] = odd_odd(mapped(a), mapped(c));
        y[h] = odd_odd(mapped(state.q[h]), mapped(state.p[h]));
    }
}

// Elements of octaves that are not common, one by one.
__attribute__((noinline)) void mend(const Words* word, const Words* octave, Floats* out, int count) {
    for (int k = 0; k < count; ++k) {
        const Words rare = _mm256_cmpgt_epi32(_mm256_andnot_si256(all32(7), octave[k]), _mm256_setzero_si256());
        unsigned lanes = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(
            _mm256_or_si256(rare, octave[k]))));
        if (lanes == 0) continue;
        alignas(32) std::uint32_t from[8];
        alignas(32) float to[8];
        _mm256_store_si256(reinterpret_cast<Words*>(from), word[k]);
        _mm256_store_ps(to, out[k]);
        for (; lanes != 0; lanes &= lanes - 1) {
            const int lane = __builtin_ctz(lanes);
            to[lane] = normal32(from[lane]);
        }
        out[k] = _mm256_load_ps(to);
    }
}

// Normals of several vectors in step, so that their long chains overlap.
template <int count>
FANIN_INLINE void normals_of(const Words* word, Floats* out) {
    const Words cut = all32(0xFFFFFFFEu);
    Words octave[count], seen = _mm256_setzero_si256();
    Floats r[count], t[count];
    for (int k = 0; k < count; ++k) {
        // The size of w | 1 is v.
        const Words v = _mm256_abs_epi32(_mm256_or_si256(word[k], all32(1)));
        const Words bits = _mm256_castps_si256(_mm256_cvtepi32_ps(v));
        // 0 to 7 where the octave is common; else negative or more.
        octave[k] = _mm256_srai_epi32(_mm256_sub_epi32(bits, all32(first_pattern)), 23);
        seen = _mm256_or_si256(seen, octave[k]);
        const Words mantissa = _mm256_or_si256(_mm256_and_si256(bits, all32(0x007FFFFFu)), all32(0x3F800000u));
        r[k] = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), _mm256_set1_ps(1.5f));
    }
    const auto row = [&](int j, int k) {
        return _mm256_permutevar8x32_ps(_mm256_load_ps(common.rows[j]), octave[k]);
    };
    for (int k = 0; k < count; ++k) t[k] = row(narrow_degree, k);
FANIN_UNROLL
    for (int j = narrow_degree - 1; j >= 0; --j) {
        for (int k = 0; k < count; ++k) {
            const Words product = _mm256_and_si256(_mm256_castps_si256(_mm256_mul_ps(t[k], r[k])), cut);
            t[k] = _mm256_add_ps(row(j, k), _mm256_castsi256_ps(product));
        }
    }
    for (int k = 0; k < count; ++k) {
        const Words sign = _mm256_and_si256(word[k], all32(0x80000000u));
        out[k] = _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(t[k]), sign));
    }
    if (__builtin_expect(!_mm256_testz_si256(seen, all32(~7u)), 0)) {
        Floats mended[count];
        for (int k = 0; k < count; ++k) mended[k] = out[k];
        mend(word, octave, mended, count);
        for (int k = 0; k < count; ++k) out[k] = mended[k];
    }
}

// Where one side equals the other the base (the second operand) is kept, as in element.hpp.
FANIN_INLINE Floats clamped(Floats base, Floats low, Floats high) {
    return _mm256_min_ps(high, _mm256_max_ps(low, base));
}

// Rounding the pattern is all there is to bfloat16: draws hold no NaN (recipes are checked).
FANIN_INLINE Words rounded_up(Floats value) {
    const Words bits = _mm256_castps_si256(value);
    const Words odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), all32(1));
    return _mm256_add_epi32(_mm256_add_epi32(bits, all32(0x7FFF)), odd);
}

FANIN_INLINE __m128i to_float16(Floats value) {
    return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// Which blocks a batch holds: that of a lane of a group is the batch's first and `apart` times the lane's
// number, 4 times the group's number added.
FANIN_INLINE Words first_products(std::uint64_t block, std::uint64_t apart, Words lanes, Words after[groups]) {
    for (int h = 0; h < groups; ++h) after[h] = all64(static_cast<std::uint64_t>(h) * 4 * apart * philox_m0);
    const Words numbers = _mm256_add_epi64(all64(block & 0xFFFFFFFFu), _mm256_mul_epu32(lanes, all64(apart)));
    return _mm256_mul_epu32(numbers, all64(philox_m0));
}

// Whole batches from the block on; none may cross a multiple of 2^32 blocks. `Out` says in which lane a block
// is, `apart` from each other, and puts a batch's values where they belong: words 0 and 2 of group h are in
// value[h], 1 and 3 in value[groups + h].
template <Kind kind, bool clamp_base, bool shifted, class Out>
__attribute__((noinline)) void batches(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count,
                                       Out out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    // A uniform's two multiplications are one: the factors 2^-31 and 2^7 are exact.
    const Floats scale = _mm256_set1_ps(static_cast<float>(recipe.scale) * (kind == Kind::uniform ? 0x1p-31f : 1.0f));
    const Floats shift = _mm256_set1_ps(static_cast<float>(recipe.shift));
    const Floats low = _mm256_set1_ps(static_cast<float>(recipe.low));
    const Floats high = _mm256_set1_ps(static_cast<float>(recipe.high));
    const Words width = all64(recipe.width), offset = all64((recipe.start << 32) + (recipe.width >> 1));
    Words after[groups], products = first_products(block, out.apart, Out::lanes(), after);
    const Words next = all64(blocks_at_once * out.apart * philox_m0);
    for (std::size_t i = 0; i < count; ++i) {
        Words word[vectors];
        Floats value[vectors];
        const State state = philox_rounds_of(schedule, products, after);
        products = _mm256_add_epi64(products, next);
        if constexpr (kind == Kind::truncated) {
            window_words(schedule, state, width, offset, word, word + groups);
        } else {
            plain_words(schedule, state, word, word + groups);
        }
        if constexpr (kind == Kind::uniform) {
            for (int k = 0; k < vectors; ++k) {  // (w & ~127) | 128 = ((w >> 7) | 1) << 7
                const Words odd = _mm256_or_si256(_mm256_and_si256(word[k], all32(0xFFFFFF80u)), all32(0x80u));
                value[k] = _mm256_cvtepi32_ps(odd);
            }
        } else {
            for (int k = 0; k < vectors; k += 2) normals_of<2>(word + k, value + k);
        }
        for (int k = 0; k < vectors; ++k) {
            if constexpr (clamp_base) value[k] = clamped(value[k], low, high);
            value[k] = _mm256_mul_ps(value[k], scale);
            if constexpr (shifted) value[k] = _mm256_add_ps(value[k], shift);
            if constexpr (shifted && kind == Kind::uniform) value[k] = clamped(value[k], low, high);
        }
        out.put(value);
    }
}

}  // namespace
}  // namespace fanin
