// Lines on AVX-512: a lane a row, so what transposed memory wants side by side is drawn side by side.
#include "fanin/avx512.hpp"
#include "fanin/lines.hpp"

namespace fanin {
namespace {

FANIN_INLINE Words bits(Floats values) { return _mm512_castps_si512(values); }

// 16 rows a vector: those of even lanes in the first group of a pair, those of odd lanes in the second.
FANIN_INLINE Deal deal_of(float*) { return {_mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), {0, 1, 16, 17}}; }

// 32 rows a vector: four neighbours are in one lane of the four groups.
FANIN_INLINE Deal deal_of(Bfloat16*) { return {_mm512_setr_epi64(0, 4, 8, 12, 16, 20, 24, 28), {0, 2, 1, 3}}; }

FANIN_INLINE Deal deal_of(Float16*) { return deal_of(static_cast<float*>(nullptr)); }

FANIN_INLINE void keep(void* at, Words whole, bool streamed) {
    if (streamed) {
        _mm512_stream_si512(static_cast<Words*>(at), whole);
    } else {
        _mm512_storeu_si512(at, whole);
    }
}

// Word k of the rows, whose words k and k + 2 are in `value`.
FANIN_INLINE void keep_two(float* first, float* second, const Floats* value, bool streamed) {
    for (int half = 0; half < 2; ++half) {
        const Words a = bits(value[2 * half]), b = bits(value[2 * half + 1]);
        keep(first + 16 * half, even_even(a, b), streamed);
        keep(second + 16 * half, odd_odd(a, b), streamed);
    }
}

FANIN_INLINE void keep_two(Bfloat16* first, Bfloat16* second, const Floats* value, bool streamed) {
    const Words a = pairs(value[0], value[2]), b = pairs(value[1], value[3]);
    keep(first, even_even(a, b), streamed);
    keep(second, odd_odd(a, b), streamed);
}

FANIN_INLINE Words halves(Words first, Words second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(to_float16(_mm512_castsi512_ps(first))),
                              to_float16(_mm512_castsi512_ps(second)), 1);
}

FANIN_INLINE void keep_two(Float16* first, Float16* second, const Floats* value, bool streamed) {
    const Words a = bits(value[0]), b = bits(value[1]), c = bits(value[2]), d = bits(value[3]);
    keep(first, halves(even_even(a, b), even_even(c, d)), streamed);
    keep(second, halves(odd_odd(a, b), odd_odd(c, d)), streamed);
}

template <class Item>
struct Four {
    std::uint64_t apart;
    Item* at[4];
    bool streamed;

    static FANIN_INLINE Deal deal() { return deal_of(static_cast<Item*>(nullptr)); }

    FANIN_INLINE void put(const Floats* value) {
        keep_two(at[0], at[2], value, streamed);
        keep_two(at[1], at[3], value + groups, streamed);
        for (Item*& line : at) line += blocks_at_once;
    }
};

struct Here {
    static constexpr std::size_t batch = at_once;
    static constexpr bool streams = true;

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void draw(const Recipe& recipe, const Key& key, std::uint64_t block, std::uint64_t apart, std::size_t count,
                     Item* const* out, bool streamed) {
        batches<kind, clamp_base, shifted>(recipe, key, block, count,
                                           Four<Item>{apart, {out[0], out[1], out[2], out[3]}, streamed});
        if (streamed) _mm_sfence();
    }
};

}  // namespace

void avx512_lines(const Recipe& recipe, const Key& key, const Lines& lines, Dtype dtype, bool large) {
    Lined<Here>::narrow(recipe, key, lines, dtype, large);
}

}  // namespace fanin
