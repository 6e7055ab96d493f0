// Lines on AVX2: a lane a row, so what transposed memory wants side by side is drawn side by side.
#include "fanin/avx2.hpp"
#include "fanin/lines.hpp"

namespace fanin {
namespace {

// One word of four rows in the lower half, another in the upper.
FANIN_INLINE Words halves(Words words) {
    return _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

FANIN_INLINE __m128i low(Words words) { return _mm256_castsi256_si128(words); }
FANIN_INLINE __m128i high(Words words) { return _mm256_extracti128_si256(words, 1); }

FANIN_INLINE void keep_two(void* first, void* second, __m128i both) {
    _mm_storel_epi64(static_cast<__m128i*>(first), both);
    _mm_storeh_pd(static_cast<double*>(second), _mm_castsi128_pd(both));
}

// The words 0 and 2 of four rows, and 1 and 3, to four lines.
FANIN_INLINE void keep(float* const* to, Floats x, Floats y) {
    const Words even = halves(_mm256_castps_si256(x)), odd = halves(_mm256_castps_si256(y));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to[0]), low(even));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to[1]), low(odd));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to[2]), high(even));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to[3]), high(odd));
}

FANIN_INLINE void keep(Bfloat16* const* to, Floats x, Floats y) {
    const Words even = halves(_mm256_srli_epi32(rounded_up(x), 16)), odd = halves(_mm256_srli_epi32(rounded_up(y), 16));
    const Words all = _mm256_packus_epi32(even, odd);
    keep_two(to[0], to[1], low(all));
    keep_two(to[2], to[3], high(all));
}

FANIN_INLINE void keep(Float16* const* to, Floats x, Floats y) {
    keep_two(to[0], to[2], to_float16(_mm256_castsi256_ps(halves(_mm256_castps_si256(x)))));
    keep_two(to[1], to[3], to_float16(_mm256_castsi256_ps(halves(_mm256_castps_si256(y)))));
}

template <class Item>
struct Four {
    std::uint64_t apart;
    Item* at[4];

    static FANIN_INLINE Words lanes() { return _mm256_setr_epi64x(0, 1, 2, 3); }

    FANIN_INLINE void put(const Floats* value) {
        for (int h = 0; h < groups; ++h) {
            keep(at, value[h], value[groups + h]);
            for (Item*& line : at) line += 4;
        }
    }
};

struct Here {
    static constexpr std::size_t batch = at_once;
    // A batch is no whole number of vectors.
    static constexpr bool streams = false;

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void draw(const Recipe& recipe, const Key& key, std::uint64_t block, std::uint64_t apart, std::size_t count,
                     Item* const* out, bool) {
        batches<kind, clamp_base, shifted>(recipe, key, block, count,
                                           Four<Item>{apart, {out[0], out[1], out[2], out[3]}});
    }
};

}  // namespace

void avx2_lines(const Recipe& recipe, const Key& key, const Lines& lines, Dtype dtype, bool large) {
    Lined<Here>::narrow(recipe, key, lines, dtype, large);
}

}  // namespace fanin
