// The AVX2 path: 12 blocks (48 words) at once; the eight commonest octaves are looked up in registers,
// and the few elements of a rarer one are computed again, one by one.
#include <immintrin.h>

#include "fanin/batches.hpp"
#include "fanin/hashes.hpp"

namespace fanin {
namespace {

using Words = __m256i;
using Floats = __m256;

#define FANIN_INLINE inline __attribute__((always_inline))

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

bool supported() {
    __builtin_cpu_init();
    // Every processor with AVX2 has F16C; GCC 10 cannot ask for it by name.
    return __builtin_cpu_supports("avx2");
}

FANIN_INLINE Words all64(std::uint64_t value) { return _mm256_set1_epi64x(static_cast<long long>(value)); }
FANIN_INLINE Words all32(std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
FANIN_INLINE Words xor3(Words a, Words b, Words c) { return _mm256_xor_si256(a, _mm256_xor_si256(b, c)); }
// Even 32-bit lanes of one, odd lanes of the other from its even or odd lanes.
FANIN_INLINE Words even_even(Words a, Words b) { return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA); }
FANIN_INLINE Words odd_odd(Words a, Words b) { return _mm256_blend_epi32(_mm256_srli_epi64(a, 32), b, 0xAA); }

// See avx512.cpp: words 0 and 2 of a block lie in a lane of x, 1 and 3 in one of y, and unpacking puts
// the blocks of even lanes before those of odd ones.
struct State {
    Words b[groups], d[groups], p[groups], q[groups];
};

FANIN_INLINE State philox_rounds_of(const Schedule& schedule, Words products) {
    State state;
    Words a[groups], c[groups];
    const Words m0 = all64(philox_m0), m1 = all64(philox_m1);
    for (int h = 0; h < groups; ++h) {
        // The first round's product of consecutive blocks is a sum.
        const Words p = h == 0 ? products
                               : _mm256_add_epi64(products, all64(static_cast<std::uint64_t>(h) * 4 * philox_m0));
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

// One group's 16 elements, in order.
FANIN_INLINE void store(float* out, Floats x, Floats y) {
    _mm256_storeu_ps(out, _mm256_unpacklo_ps(x, y));
    _mm256_storeu_ps(out + 8, _mm256_unpackhi_ps(x, y));
}

// Neighbours' upper halves side by side; blocks of lanes 0 to 3 are in order.
FANIN_INLINE Words pairs(Floats x, Floats y) {
    return _mm256_blend_epi16(_mm256_srli_epi32(rounded_up(x), 16), rounded_up(y), 0xAA);
}

FANIN_INLINE void store(Bfloat16* out, Floats x, Floats y) {
    _mm256_storeu_si256(reinterpret_cast<Words*>(out), pairs(x, y));
}

FANIN_INLINE void store(Streamed<Bfloat16>* out, Floats x, Floats y) {
    _mm256_stream_si256(reinterpret_cast<Words*>(out), pairs(x, y));
}

FANIN_INLINE void store(Float16* out, Floats x, Floats y) {
    __m128i* const to = reinterpret_cast<__m128i*>(out);
    _mm_storeu_si128(to, to_float16(_mm256_unpacklo_ps(x, y)));
    _mm_storeu_si128(to + 1, to_float16(_mm256_unpackhi_ps(x, y)));
}

FANIN_INLINE void store(Streamed<float>* out, Floats x, Floats y) {
    float* const to = &out->item;
    _mm256_stream_ps(to, _mm256_unpacklo_ps(x, y));
    _mm256_stream_ps(to + 8, _mm256_unpackhi_ps(x, y));
}

FANIN_INLINE void store(std::uint32_t* out, Words x, Words y) {
    _mm256_storeu_si256(reinterpret_cast<Words*>(out), _mm256_unpacklo_epi32(x, y));
    _mm256_storeu_si256(reinterpret_cast<Words*>(out) + 1, _mm256_unpackhi_epi32(x, y));
}

// The first round's products, for the lanes of blocks as each kind of item is stored.
template <class Item>
FANIN_INLINE Words first_products(std::uint64_t block) {
    const Words lanes =
        sizeof(Item) == 2 && !std::is_same_v<Item, Float16> ? _mm256_setr_epi64x(0, 1, 2, 3) : _mm256_setr_epi64x(0, 2, 1, 3);
    return _mm256_mul_epu32(_mm256_add_epi64(all64(block & 0xFFFFFFFFu), lanes), all64(philox_m0));
}

// Whole batches from the block on; none may cross a multiple of 2^32 blocks.
template <Kind kind, bool clamp_base, bool shifted, class Item>
__attribute__((noinline)) void batches(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count,
                                       Item* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    // A uniform's two multiplications are one: the factors 2^-31 and 2^7 are exact.
    const Floats scale = _mm256_set1_ps(static_cast<float>(recipe.scale) * (kind == Kind::uniform ? 0x1p-31f : 1.0f));
    const Floats shift = _mm256_set1_ps(static_cast<float>(recipe.shift));
    const Floats low = _mm256_set1_ps(static_cast<float>(recipe.low));
    const Floats high = _mm256_set1_ps(static_cast<float>(recipe.high));
    const Words width = all64(recipe.width), offset = all64((recipe.start << 32) + (recipe.width >> 1));
    Words products = first_products<Item>(block);
    for (std::size_t i = 0; i < count; ++i, out += at_once) {
        Words word[vectors];
        Floats value[vectors];
        const State state = philox_rounds_of(schedule, products);
        products = _mm256_add_epi64(products, all64(std::uint64_t{blocks_at_once} * philox_m0));
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
        for (int h = 0; h < groups; ++h) store(out + 16 * h, value[h], value[groups + h]);
    }
}

// The words themselves.
void word_batches(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    Words products = first_products<std::uint32_t>(block);
    for (std::size_t i = 0; i < count; ++i, out += at_once) {
        Words x[groups], y[groups];
        plain_words(schedule, philox_rounds_of(schedule, products), x, y);
        products = _mm256_add_epi64(products, all64(std::uint64_t{blocks_at_once} * philox_m0));
        for (int h = 0; h < groups; ++h) store(out + 16 * h, x[h], y[h]);
    }
}

// What Ranges needs of this path.
struct Here {
    static constexpr std::size_t batch = at_once;
    static constexpr bool streams = true;

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void draw(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count, Item* out) {
        batches<kind, clamp_base, shifted>(recipe, key, block, count, out);
    }

    static void draw_words(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
        word_batches(key, block, count, out);
    }

    static void fence() { _mm_sfence(); }
};

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    std::size_t done = 0;
    for (; done + 8 <= count; done += 8) {
        const Words loaded = _mm256_loadu_si256(reinterpret_cast<const Words*>(word + done));
        Floats value;
        normals_of<1>(&loaded, &value);
        _mm256_storeu_ps(out + done, value);
    }
    for (; done < count; ++done) out[done] = normal32(word[done]);
}

void cast(const float* in, std::size_t count, Dtype dtype, void* out) {
    std::size_t done = 0;
    if (dtype == Dtype::bfloat16 || dtype == Dtype::float16) {
        std::uint16_t* to = static_cast<std::uint16_t*>(out);
        for (; done + 8 <= count; done += 8) {
            const Floats value = _mm256_loadu_ps(in + done);
            const Words high = _mm256_srli_epi32(rounded_up(value), 16);
            const __m128i narrow = dtype == Dtype::float16 ? to_float16(value)
                                                           : _mm_packus_epi32(_mm256_castsi256_si128(high),
                                                                              _mm256_extracti128_si256(high, 1));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to + done), narrow);
        }
    }
    cast_elements(in + done, count - done, dtype, static_cast<unsigned char*>(out) + done * 2);
}

// What hashing needs of this path.
struct Lanes {
    using Words = __m256i;
    static constexpr std::size_t count = 4;

    static FANIN_INLINE Words load(const std::uint64_t* from) {
        return _mm256_load_si256(reinterpret_cast<const Words*>(from));
    }
    static FANIN_INLINE void store(std::uint64_t* to, Words words) {
        _mm256_store_si256(reinterpret_cast<Words*>(to), words);
    }
    static FANIN_INLINE Words all(std::uint64_t value) { return all64(value); }
    static FANIN_INLINE Words add(Words a, Words b) { return _mm256_add_epi64(a, b); }
    static FANIN_INLINE Words either(Words a, Words b) { return _mm256_xor_si256(a, b); }
    template <int by>
    static FANIN_INLINE Words rotate(Words words) {
        if constexpr (by == 32) return _mm256_shuffle_epi32(words, 0xB1);
        if constexpr (by == 63) return _mm256_or_si256(_mm256_add_epi64(words, words), _mm256_srli_epi64(words, 63));
        return _mm256_or_si256(_mm256_srli_epi64(words, by), _mm256_slli_epi64(words, 64 - by));
    }
};

}  // namespace

extern const Path avx2_path;
const Path avx2_path = {"avx2", supported, Ranges<Here>::words, normals, Ranges<Here>::narrow, wide_bases, cast,
                        keys_in_lanes<Lanes>};

}  // namespace fanin
