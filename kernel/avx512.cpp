// The AVX-512 path: 32 blocks (128 words) at once, octave rows looked up in registers.
#include <immintrin.h>

#include "fanin/lanes.hpp"

namespace fanin {
namespace {

using Words = __m512i;
using Floats = __m512;

constexpr std::size_t blocks_at_once = 32;
constexpr std::size_t at_once = 4 * blocks_at_once;
constexpr int vectors = at_once / 16;

bool supported() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// The words of 32 blocks in order. A block's four words live in 64-bit lanes of four vectors,
// because the multiplication takes the lower and gives all 64 bits; what stands in the upper half
// of a lane is never read by it.
inline __attribute__((always_inline)) void philox_vectors(const Key& key, std::uint64_t block, Words out[vectors]) {
    Words a[4], b[4], c[4], d[4];
    const Words first = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(block)),
                                         _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    const Words m0 = _mm512_set1_epi64(philox_m0), m1 = _mm512_set1_epi64(philox_m1);
    for (int h = 0; h < 4; ++h) {
        a[h] = _mm512_add_epi64(first, _mm512_set1_epi64(8 * h));
        b[h] = _mm512_srli_epi64(a[h], 32);
        c[h] = _mm512_set1_epi64(key.counter2);
        d[h] = _mm512_set1_epi64(key.counter3);
    }
    std::uint32_t key0 = key.key0, key1 = key.key1;
FANIN_UNROLL
    for (int round = 0; round < philox_rounds; ++round) {
        const Words k0 = _mm512_set1_epi64(key0), k1 = _mm512_set1_epi64(key1);
        for (int h = 0; h < 4; ++h) {
            const Words p = _mm512_mul_epu32(a[h], m0), q = _mm512_mul_epu32(c[h], m1);
            a[h] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(q, 32), b[h], k0, 0x96);  // xor of three
            c[h] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p, 32), d[h], k1, 0x96);
            b[h] = q;
            d[h] = p;
        }
        key0 += philox_w0;
        key1 += philox_w1;
    }
    const Words low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const Words high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    for (int h = 0; h < 4; ++h) {
        const Words ab = _mm512_mask_blend_epi32(0xAAAA, a[h], _mm512_slli_epi64(b[h], 32));
        const Words cd = _mm512_mask_blend_epi32(0xAAAA, c[h], _mm512_slli_epi64(d[h], 32));
        out[2 * h] = _mm512_permutex2var_epi64(ab, low, cd);
        out[2 * h + 1] = _mm512_permutex2var_epi64(ab, high, cd);
    }
}

inline __attribute__((always_inline)) Floats normal(Words word) {
    const Words one = _mm512_set1_epi32(1);
    const Words upper = _mm512_srai_epi32(word, 31);
    const Words v = _mm512_ternarylogic_epi32(word, upper, one, 0x3C | 0xAA);  // (word ^ upper) | 1
    const Words bits = _mm512_castps_si512(_mm512_cvtepi32_ps(v));
    // The table index is taken modulo 32, and exponent - 127 = exponent + 1 there.
    const Words octave = _mm512_add_epi32(_mm512_srli_epi32(bits, 23), one);
    const Words mantissa = _mm512_ternarylogic_epi32(bits, _mm512_set1_epi32(0x007FFFFF),
                                                     _mm512_set1_epi32(0x3F800000), 0xEA);  // (a & b) | c
    const Floats r = _mm512_sub_ps(_mm512_castsi512_ps(mantissa), _mm512_set1_ps(1.5f));
    const Words cut = _mm512_set1_epi32(-2);
    const auto row = [&](int j) {
        return _mm512_permutex2var_ps(_mm512_load_ps(narrow_table[j]), octave,
                                      _mm512_load_ps(narrow_table[j] + 16));
    };
    Floats t = row(narrow_degree);
FANIN_UNROLL
    for (int j = narrow_degree - 1; j >= 0; --j) {
        const Words product = _mm512_and_si512(_mm512_castps_si512(_mm512_mul_ps(t, r)), cut);
        t = _mm512_add_ps(row(j), _mm512_castsi512_ps(product));
    }
    // t ^ (word & sign bit)
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(t), word,
                                                         _mm512_set1_epi32(INT32_MIN), 0x78));
}

inline __attribute__((always_inline)) Floats uniform(Words word) {
    const Words odd = _mm512_or_si512(_mm512_srai_epi32(word, 7), _mm512_set1_epi32(1));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(odd), _mm512_set1_ps(0x1p-24f));
}

// start + floor((word + 1/2) width / 2^32), for width < 2^32, in even and odd lanes.
inline __attribute__((always_inline)) Words window(Words word, Words start, Words width, Words half) {
    const Words even = _mm512_add_epi64(_mm512_mul_epu32(word, width), half);
    const Words odd = _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(word, 32), width), half);
    return _mm512_add_epi32(start, _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd));
}

// Where one side equals the other the base (the second operand) is kept, as in element.hpp.
inline __attribute__((always_inline)) Floats clamped(Floats base, Floats low, Floats high) {
    return _mm512_min_ps(high, _mm512_max_ps(low, base));
}

template <Kind kind, bool shifted>
void whole_vectors(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t rounds, float* out) {
    const Floats scale = _mm512_set1_ps(static_cast<float>(recipe.scale));
    const Floats shift = _mm512_set1_ps(static_cast<float>(recipe.shift));
    const Floats low = _mm512_set1_ps(static_cast<float>(recipe.low));
    const Floats high = _mm512_set1_ps(static_cast<float>(recipe.high));
    const Words start = _mm512_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(recipe.start)));
    const Words width = _mm512_set1_epi64(static_cast<long long>(recipe.width));
    const Words half = _mm512_set1_epi64(static_cast<long long>(recipe.width >> 1));
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
            Floats value = _mm512_mul_ps(base, scale);
            if constexpr (shifted) value = _mm512_add_ps(value, shift);
            if constexpr (shifted && kind == Kind::uniform) value = clamped(value, low, high);
            _mm512_storeu_ps(out + 16 * j, value);
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
        for (int j = 0; j < vectors; ++j) _mm512_storeu_si512(out + done + 16 * static_cast<std::size_t>(j), word[j]);
    }
    philox_words(key, begin + done, count - done, out + done);
}

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    std::size_t done = 0;
    for (; done + 16 <= count; done += 16)
        _mm512_storeu_ps(out + done, normal(_mm512_loadu_si512(word + done)));
    for (; done < count; ++done) out[done] = normal32(word[done]);
}

// Float64: the 16 commonest octaves in registers, all words but 1 in 2^15; column k holds the octave
// whose biased exponent is k modulo 16, so the exponent itself is the index.
constexpr unsigned first_common = 47;

struct Common {
    alignas(64) double rows[wide_degree + 1][16];
};

constexpr Common make_common() {
    Common made = {};
    for (int j = 0; j <= wide_degree; ++j)
        for (unsigned k = 0; k < 16; ++k)
            made.rows[j][k] = wide_table[j][first_common + ((k - (first_common + 1023)) & 15)];
    return made;
}

constexpr Common common = make_common();

template <class Row>
inline __attribute__((always_inline)) __m512d wide_horner(__m512d r, const Row& row) {
    const Words cut = _mm512_set1_epi64(-2);
    __m512d t = row(wide_degree);
FANIN_UNROLL
    for (int j = wide_degree - 1; j >= 0; --j) {
        const Words product = _mm512_and_si512(_mm512_castpd_si512(_mm512_mul_pd(t, r)), cut);
        t = _mm512_add_pd(row(j), _mm512_castsi512_pd(product));
    }
    return t;
}

__attribute__((noinline)) __m512d wide_horner_any(__m512d r, Words exponent) {
    const Words octave = _mm512_sub_epi64(exponent, _mm512_set1_epi64(1023));
    return wide_horner(r, [&](int j) { return _mm512_i64gather_pd(octave, wide_table[j], 8); });
}

inline __attribute__((always_inline)) __m512d wide_normal(Words word) {
    const Words upper = _mm512_srai_epi64(word, 63);
    const Words v = _mm512_or_si512(_mm512_xor_si512(word, upper), _mm512_set1_epi64(1));
    const __m512d f = _mm512_cvtepi64_pd(v);
    const Words bits = _mm512_castpd_si512(f);
    const Words exponent = _mm512_srli_epi64(bits, 52);
    const Words mantissa = _mm512_ternarylogic_epi64(bits, _mm512_set1_epi64(0x000FFFFFFFFFFFFF),
                                                     _mm512_set1_epi64(0x3FF0000000000000), 0xEA);
    const __m512d r = _mm512_sub_pd(_mm512_castsi512_pd(mantissa), _mm512_set1_pd(1.5));
    const __mmask8 rare = static_cast<__mmask8>(_mm512_cmp_pd_mask(f, _mm512_set1_pd(0x1p47), _CMP_LT_OQ) |
                                                _mm512_cmp_pd_mask(f, _mm512_set1_pd(0x1p63), _CMP_GE_OQ));
    __m512d t;
    if (__builtin_expect(rare != 0, 0)) {
        t = wide_horner_any(r, exponent);
    } else {
        t = wide_horner(r, [&](int j) {
            return _mm512_permutex2var_pd(_mm512_load_pd(common.rows[j]), exponent,
                                          _mm512_load_pd(common.rows[j] + 8));
        });
    }
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(t), word,
                                                         _mm512_set1_epi64(INT64_MIN), 0x78));
}

// start + floor((word + 1/2) width / 2^64); see window64.
inline __attribute__((always_inline)) Words wide_window(Words word, const Recipe& recipe) {
    const std::uint64_t half_width = recipe.width >> 1;
    const auto all = [](std::uint64_t value) { return _mm512_set1_epi64(static_cast<long long>(value)); };
    const Words low_half = all(0xFFFFFFFFu), width = all(recipe.width), width_high = all(recipe.width >> 32);
    const Words high = _mm512_srli_epi64(word, 32);
    const Words limb = _mm512_add_epi64(_mm512_mul_epu32(word, width), all(half_width & 0xFFFFFFFFu));
    const Words middle = _mm512_mul_epu32(high, width), cross = _mm512_mul_epu32(word, width_high);
    const Words inner = _mm512_add_epi64(
        _mm512_add_epi64(_mm512_srli_epi64(limb, 32), _mm512_and_si512(middle, low_half)),
        _mm512_add_epi64(_mm512_and_si512(cross, low_half), all(half_width >> 32)));
    const Words top = _mm512_add_epi64(_mm512_add_epi64(all(recipe.start), _mm512_mul_epu32(high, width_high)),
                                       _mm512_add_epi64(_mm512_srli_epi64(middle, 32), _mm512_srli_epi64(cross, 32)));
    return _mm512_add_epi64(top, _mm512_srli_epi64(inner, 32));
}

void wide(const Recipe& recipe, const std::uint32_t* first, const std::uint32_t* second, std::size_t count,
          double* out) {
    const auto eight = [](const std::uint32_t* from) {
        return _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    };
    std::size_t done = 0;
    for (; recipe.kind != Kind::uniform && done + 8 <= count; done += 8) {
        Words word = _mm512_or_si512(_mm512_slli_epi64(eight(first + done), 32), eight(second + done));
        if (recipe.kind == Kind::truncated) word = wide_window(word, recipe);
        _mm512_storeu_pd(out + done, wide_normal(word));
    }
    for (; done < count; ++done) out[done] = wide_base(recipe, first[done], second[done]);
}

// Draws hold no NaN (recipes are checked), so rounding the pattern is all there is to bfloat16.
void cast(const float* in, std::size_t count, Dtype dtype, void* out) {
    std::size_t done = 0;
    if (dtype == Dtype::bfloat16 || dtype == Dtype::float16) {
        std::uint16_t* to = static_cast<std::uint16_t*>(out);
        for (; done + 16 <= count; done += 16) {
            const Floats value = _mm512_loadu_ps(in + done);
            __m256i narrow;
            if (dtype == Dtype::float16) {
                narrow = _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            } else {
                const Words bits = _mm512_castps_si512(value);
                const Words odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
                const Words up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
                narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
            }
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + done), narrow);
        }
    }
    cast_elements(in + done, count - done, dtype, static_cast<unsigned char*>(out) + done * 2);
}

}  // namespace

extern const Path avx512_path;
const Path avx512_path = {"avx512", supported, words, normals, narrow, wide, cast};

}  // namespace fanin
