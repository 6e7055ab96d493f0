// The AVX-512 path's float64 normals: eight at once, octave rows looked up in registers.
#include <immintrin.h>

#include "fanin/lanes.hpp"

namespace fanin {
namespace {

using Words = __m512i;

#define FANIN_INLINE inline __attribute__((always_inline))

FANIN_INLINE Words all64(std::uint64_t value) { return _mm512_set1_epi64(static_cast<long long>(value)); }

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
FANIN_INLINE __m512d wide_horner(__m512d r, const Row& row) {
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

FANIN_INLINE __m512d wide_normal(Words word) {
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
FANIN_INLINE Words wide_window(Words word, const Recipe& recipe) {
    const std::uint64_t half_width = recipe.width >> 1;
    const Words low_half = all64(0xFFFFFFFFu), width = all64(recipe.width), width_high = all64(recipe.width >> 32);
    const Words high = _mm512_srli_epi64(word, 32);
    const Words limb = _mm512_add_epi64(_mm512_mul_epu32(word, width), all64(half_width & 0xFFFFFFFFu));
    const Words middle = _mm512_mul_epu32(high, width), cross = _mm512_mul_epu32(word, width_high);
    const Words inner = _mm512_add_epi64(
        _mm512_add_epi64(_mm512_srli_epi64(limb, 32), _mm512_and_si512(middle, low_half)),
        _mm512_add_epi64(_mm512_and_si512(cross, low_half), all64(half_width >> 32)));
    const Words top = _mm512_add_epi64(_mm512_add_epi64(all64(recipe.start), _mm512_mul_epu32(high, width_high)),
                                       _mm512_add_epi64(_mm512_srli_epi64(middle, 32), _mm512_srli_epi64(cross, 32)));
    return _mm512_add_epi64(top, _mm512_srli_epi64(inner, 32));
}

}  // namespace

void avx512_wide(const Recipe& recipe, const std::uint32_t* first, const std::uint32_t* second, std::size_t count,
                 double* out);
void avx512_wide(const Recipe& recipe, const std::uint32_t* first, const std::uint32_t* second, std::size_t count,
                 double* out) {
    if (recipe.far.near != 0.0) return far_bases(recipe.far, first, second, count, out);
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

}  // namespace fanin
