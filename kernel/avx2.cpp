// The AVX2 path: 8 blocks (32 words) at once; the eight commonest octaves are looked up in
// registers, and a vector that holds a rarer one (1 in 32) gathers from the whole table.
#include <immintrin.h>

#include "fanin/lanes.hpp"

namespace fanin {
namespace {

using Words = __m256i;
using Floats = __m256;

constexpr std::size_t blocks_at_once = 8;
constexpr std::size_t at_once = 4 * blocks_at_once;
constexpr int vectors = at_once / 8;
constexpr int coefficients = narrow_degree + 1;
// Octaves 23 to 30: all words but 1 in 256.
constexpr unsigned first_common = 23;

// Column k holds the octave whose biased exponent is k modulo 8, so the exponent itself is the index.
struct Common {
    alignas(32) float rows[coefficients][8];
};

constexpr Common make_common() {
    Common common = {};
    for (int j = 0; j < coefficients; ++j)
        for (unsigned k = 0; k < 8; ++k)
            common.rows[j][k] = narrow_table[j][first_common + ((k - (first_common + 127)) & 7)];
    return common;
}

constexpr Common common = make_common();

bool supported() {
    __builtin_cpu_init();
    // Every processor with AVX2 has F16C; GCC 10 cannot ask for it by name.
    return __builtin_cpu_supports("avx2");
}

// The words of 8 blocks in order; see avx512.cpp.
inline __attribute__((always_inline)) void philox_vectors(const Key& key, std::uint64_t block, Words out[vectors]) {
    Words a[2], b[2], c[2], d[2];
    const Words first = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(block)),
                                         _mm256_setr_epi64x(0, 1, 2, 3));
    const Words m0 = _mm256_set1_epi64x(philox_m0), m1 = _mm256_set1_epi64x(philox_m1);
    for (int h = 0; h < 2; ++h) {
        a[h] = _mm256_add_epi64(first, _mm256_set1_epi64x(4 * h));
        b[h] = _mm256_srli_epi64(a[h], 32);
        c[h] = _mm256_set1_epi64x(key.counter2);
        d[h] = _mm256_set1_epi64x(key.counter3);
    }
    std::uint32_t key0 = key.key0, key1 = key.key1;
FANIN_UNROLL
    for (int round = 0; round < philox_rounds; ++round) {
        const Words k0 = _mm256_set1_epi64x(key0), k1 = _mm256_set1_epi64x(key1);
        for (int h = 0; h < 2; ++h) {
            const Words p = _mm256_mul_epu32(a[h], m0), q = _mm256_mul_epu32(c[h], m1);
            a[h] = _mm256_xor_si256(_mm256_srli_epi64(q, 32), _mm256_xor_si256(b[h], k0));
            c[h] = _mm256_xor_si256(_mm256_srli_epi64(p, 32), _mm256_xor_si256(d[h], k1));
            b[h] = q;
            d[h] = p;
        }
        key0 += philox_w0;
        key1 += philox_w1;
    }
    for (int h = 0; h < 2; ++h) {
        const Words ab = _mm256_blend_epi32(a[h], _mm256_slli_epi64(b[h], 32), 0xAA);
        const Words cd = _mm256_blend_epi32(c[h], _mm256_slli_epi64(d[h], 32), 0xAA);
        const Words even = _mm256_unpacklo_epi64(ab, cd), odd = _mm256_unpackhi_epi64(ab, cd);
        out[2 * h] = _mm256_permute2x128_si256(even, odd, 0x20);
        out[2 * h + 1] = _mm256_permute2x128_si256(even, odd, 0x31);
    }
}

template <class Row>
inline __attribute__((always_inline)) Floats horner(Floats r, const Row& row) {
    const Words cut = _mm256_set1_epi32(-2);
    Floats t = row(narrow_degree);
FANIN_UNROLL
    for (int j = narrow_degree - 1; j >= 0; --j) {
        const Words product = _mm256_and_si256(_mm256_castps_si256(_mm256_mul_ps(t, r)), cut);
        t = _mm256_add_ps(row(j), _mm256_castsi256_ps(product));
    }
    return t;
}

// Out of line, so that the common case keeps its registers.
__attribute__((noinline)) Floats horner_any(Floats r, Words exponent) {
    const Words octave = _mm256_sub_epi32(exponent, _mm256_set1_epi32(127));
    return horner(r, [&](int j) { return _mm256_i32gather_ps(narrow_table[j], octave, 4); });
}

inline __attribute__((always_inline)) Floats normal(Words word) {
    const Words upper = _mm256_srai_epi32(word, 31);
    const Words v = _mm256_or_si256(_mm256_xor_si256(word, upper), _mm256_set1_epi32(1));
    const Floats f = _mm256_cvtepi32_ps(v);
    const Words bits = _mm256_castps_si256(f);
    const Words exponent = _mm256_srli_epi32(bits, 23);
    const Words mantissa = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x007FFFFF)),
                                           _mm256_set1_epi32(0x3F800000));
    const Floats r = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), _mm256_set1_ps(1.5f));
    const Floats rare = _mm256_or_ps(_mm256_cmp_ps(f, _mm256_set1_ps(0x1p23f), _CMP_LT_OQ),
                                     _mm256_cmp_ps(f, _mm256_set1_ps(0x1p31f), _CMP_GE_OQ));
    Floats t;
    if (__builtin_expect(_mm256_movemask_ps(rare) != 0, 0)) {
        t = horner_any(r, exponent);
    } else {
        t = horner(r, [&](int j) { return _mm256_permutevar8x32_ps(_mm256_load_ps(common.rows[j]), exponent); });
    }
    const Words sign = _mm256_and_si256(word, _mm256_set1_epi32(INT32_MIN));
    return _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(t), sign));
}

inline __attribute__((always_inline)) Floats uniform(Words word) {
    const Words odd = _mm256_or_si256(_mm256_srai_epi32(word, 7), _mm256_set1_epi32(1));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(odd), _mm256_set1_ps(0x1p-24f));
}

// start + floor((word + 1/2) width / 2^32), for width < 2^32, in even and odd lanes.
inline __attribute__((always_inline)) Words window(Words word, Words start, Words width, Words half) {
    const Words even = _mm256_add_epi64(_mm256_mul_epu32(word, width), half);
    const Words odd = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(word, 32), width), half);
    return _mm256_add_epi32(start, _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA));
}

// Where one side equals the other the base (the second operand) is kept, as in element.hpp.
inline __attribute__((always_inline)) Floats clamped(Floats base, Floats low, Floats high) {
    return _mm256_min_ps(high, _mm256_max_ps(low, base));
}

template <Kind kind, bool shifted>
void whole_vectors(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t rounds, float* out) {
    const Floats scale = _mm256_set1_ps(static_cast<float>(recipe.scale));
    const Floats shift = _mm256_set1_ps(static_cast<float>(recipe.shift));
    const Floats low = _mm256_set1_ps(static_cast<float>(recipe.low));
    const Floats high = _mm256_set1_ps(static_cast<float>(recipe.high));
    const Words start = _mm256_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(recipe.start)));
    const Words width = _mm256_set1_epi64x(static_cast<long long>(recipe.width));
    const Words half = _mm256_set1_epi64x(static_cast<long long>(recipe.width >> 1));
    for (std::size_t i = 0; i < rounds; ++i, block += blocks_at_once, out += at_once) {
        Words word[vectors];
        philox_vectors(key, block, word);
FANIN_UNROLL
        for (int j = 0; j < vectors; ++j) {
            Floats base;
            if constexpr (kind == Kind::uniform) {
                base = uniform(word[j]);
            } else if constexpr (kind == Kind::normal) {
                base = normal(word[j]);
            } else {
                base = clamped(normal(window(word[j], start, width, half)), low, high);
            }
            Floats value = _mm256_mul_ps(base, scale);
            if constexpr (shifted) value = _mm256_add_ps(value, shift);
            if constexpr (shifted && kind == Kind::uniform) value = clamped(value, low, high);
            _mm256_storeu_ps(out + 8 * j, value);
        }
    }
}

void narrow(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count, float* out) {
    // Up to the first whole block, then whole vectors, then the rest.
    std::size_t head = static_cast<std::size_t>(-begin & 3);
    head = head < count ? head : count;
    narrow_elements(recipe, key, begin, head, out);
    const std::size_t rounds = (count - head) / at_once;
    const std::uint64_t block = (begin + head) >> 2;
    const bool shifted = recipe.shift != 0.0;
    switch (recipe.kind) {
        case Kind::uniform:
            (shifted ? whole_vectors<Kind::uniform, true> : whole_vectors<Kind::uniform, false>)(
                recipe, key, block, rounds, out + head);
            break;
        case Kind::normal:
            (shifted ? whole_vectors<Kind::normal, true> : whole_vectors<Kind::normal, false>)(
                recipe, key, block, rounds, out + head);
            break;
        case Kind::truncated:
            (shifted ? whole_vectors<Kind::truncated, true> : whole_vectors<Kind::truncated, false>)(
                recipe, key, block, rounds, out + head);
            break;
    }
    const std::size_t done = head + rounds * at_once;
    narrow_elements(recipe, key, begin + done, count - done, out + done);
}

void words(const Key& key, std::uint64_t begin, std::size_t count, std::uint32_t* out) {
    std::size_t head = static_cast<std::size_t>(-begin & 3);
    head = head < count ? head : count;
    philox_words(key, begin, head, out);
    std::size_t done = head;
    for (; done + at_once <= count; done += at_once) {
        Words word[vectors];
        philox_vectors(key, (begin + done) >> 2, word);
        for (int j = 0; j < vectors; ++j)
            _mm256_storeu_si256(reinterpret_cast<Words*>(out + done) + j, word[j]);
    }
    philox_words(key, begin + done, count - done, out + done);
}

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    std::size_t done = 0;
    for (; done + 8 <= count; done += 8)
        _mm256_storeu_ps(out + done, normal(_mm256_loadu_si256(reinterpret_cast<const Words*>(word + done))));
    for (; done < count; ++done) out[done] = normal32(word[done]);
}

// Draws hold no NaN (recipes are checked), so rounding the pattern is all there is to bfloat16.
void cast(const float* in, std::size_t count, Dtype dtype, void* out) {
    std::size_t done = 0;
    if (dtype == Dtype::bfloat16 || dtype == Dtype::float16) {
        std::uint16_t* to = static_cast<std::uint16_t*>(out);
        for (; done + 8 <= count; done += 8) {
            const Floats value = _mm256_loadu_ps(in + done);
            __m128i narrow;
            if (dtype == Dtype::float16) {
                narrow = _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            } else {
                const Words bits = _mm256_castps_si256(value);
                const Words odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
                const Words up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
                const Words high = _mm256_srli_epi32(up, 16);
                narrow = _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
            }
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to + done), narrow);
        }
    }
    cast_elements(in + done, count - done, dtype, static_cast<unsigned char*>(out) + done * 2);
}

}  // namespace

extern const Path avx2_path;
const Path avx2_path = {"avx2", supported, words, normals, narrow, wide_bases, cast};

}  // namespace fanin
