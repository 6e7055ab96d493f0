// The AVX-512 path: 32 blocks (128 words) at once, octave rows looked up in registers.
#include <immintrin.h>

#include "fanin/batches.hpp"
#include "fanin/hashes.hpp"

namespace fanin {

// In avx512_wide.cpp.
void avx512_wide(const Recipe& recipe, const std::uint32_t* first, const std::uint32_t* second, std::size_t count,
                 double* out);

namespace {

using Words = __m512i;
using Floats = __m512;

#define FANIN_INLINE inline __attribute__((always_inline))

// Groups of 8 blocks that run side by side: one more hides the multiplication's latency no better,
// one less does not hide it.
constexpr int groups = 4;
constexpr std::size_t blocks_at_once = 8 * groups;
constexpr std::size_t at_once = 4 * blocks_at_once;

bool supported() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

FANIN_INLINE Words all64(std::uint64_t value) { return _mm512_set1_epi64(static_cast<long long>(value)); }
FANIN_INLINE Words all32(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
FANIN_INLINE Words xor3(Words a, Words b, Words c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
// Even 32-bit lanes of one, odd lanes of the other from its even or odd lanes.
FANIN_INLINE Words even_even(Words a, Words b) { return _mm512_mask_shuffle_epi32(a, 0xAAAA, b, _MM_PERM_CCAA); }
FANIN_INLINE Words odd_odd(Words a, Words b) { return _mm512_mask_shuffle_epi32(b, 0x5555, a, _MM_PERM_DDBB); }

// Where a block's lane is: so that floats need two unpacking instructions a group to lie in order, and
// 16-bit numbers, whose pairs a shift and an or put together, none.
enum class Order { unpacked, packed };

template <Order order>
FANIN_INLINE Words lane_numbers() {
    return order == Order::packed ? _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)
                                  : _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
}

// Nine rounds of each group and the products of the tenth. A block's four words live in 64-bit lanes
// of four vectors, because the multiplication takes the lower and gives all 64 bits; what stands in the
// upper half of a lane is never read by it.
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
                               : _mm512_add_epi64(products, all64(static_cast<std::uint64_t>(h) * 8 * philox_m0));
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
struct Rows {
    Floats low[narrow_degree + 1], high[narrow_degree + 1];
};

FANIN_INLINE Rows rows_in_registers() {
    Rows rows;
    for (int j = 0; j <= narrow_degree; ++j) {
        rows.low[j] = _mm512_load_ps(octaves.rows[j]);
        rows.high[j] = _mm512_load_ps(octaves.rows[j] + 16);
        // Or the compiler would load them again for each use.
        __asm__("" : "+v"(rows.low[j]), "+v"(rows.high[j]));
    }
    return rows;
}

// Normals of several vectors in step, so that their long chains overlap.
template <int count>
FANIN_INLINE void normals_of(const Rows& rows, const Words* word, Floats* out) {
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
        return _mm512_permutex2var_ps(rows.low[j], octave[k], rows.high[j]);
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

// One group's 32 elements, in order.
FANIN_INLINE void store(float* out, Floats x, Floats y) {
    _mm512_storeu_ps(out, _mm512_unpacklo_ps(x, y));
    _mm512_storeu_ps(out + 16, _mm512_unpackhi_ps(x, y));
}

FANIN_INLINE Words pairs(Floats x, Floats y) {
    const Words high = _mm512_srli_epi32(rounded_up(x), 16);
    return _mm512_ternarylogic_epi32(high, rounded_up(y), all32(0xFFFF0000u), 0xF8);  // a | (b & c)
}

FANIN_INLINE void store(Bfloat16* out, Floats x, Floats y) { _mm512_storeu_si512(out, pairs(x, y)); }

FANIN_INLINE void store(Streamed<Bfloat16>* out, Floats x, Floats y) {
    _mm512_stream_si512(reinterpret_cast<Words*>(out), pairs(x, y));
}

FANIN_INLINE void store(Float16* out, Floats x, Floats y) {
    const __m256i first = to_float16(_mm512_unpacklo_ps(x, y)), second = to_float16(_mm512_unpackhi_ps(x, y));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), first);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out) + 1, second);
}

FANIN_INLINE void store(Streamed<float>* out, Floats x, Floats y) {
    float* const to = &out->item;
    _mm512_stream_ps(to, _mm512_unpacklo_ps(x, y));
    _mm512_stream_ps(to + 16, _mm512_unpackhi_ps(x, y));
}

FANIN_INLINE void store(std::uint32_t* out, Words x, Words y) {
    _mm512_storeu_si512(out, _mm512_unpacklo_epi32(x, y));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi32(x, y));
}

template <class Item>
constexpr Order order_of = sizeof(Item) == 2 && !std::is_same_v<Item, Float16> ? Order::packed : Order::unpacked;

// Whole batches from the block on; none may cross a multiple of 2^32 blocks.
template <Kind kind, bool clamp_base, bool shifted, class Item>
__attribute__((noinline)) void batches(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count, Item* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    // A uniform's two multiplications are one: the factors 2^-31 and 2^7 are exact.
    const Floats scale = _mm512_set1_ps(static_cast<float>(recipe.scale) * (kind == Kind::uniform ? 0x1p-31f : 1.0f));
    const Floats shift = _mm512_set1_ps(static_cast<float>(recipe.shift));
    const Floats low = _mm512_set1_ps(static_cast<float>(recipe.low));
    const Floats high = _mm512_set1_ps(static_cast<float>(recipe.high));
    const Words width = all64(recipe.width), offset = all64((recipe.start << 32) + (recipe.width >> 1));
    const Words numbers = _mm512_add_epi64(all64(block & 0xFFFFFFFFu), lane_numbers<order_of<Item>>());
    Words products = _mm512_mul_epu32(numbers, all64(philox_m0));
    if constexpr (kind == Kind::uniform) {
        for (std::size_t i = 0; i < count; ++i, out += at_once) {
            Words word[2 * groups];
            Floats value[2 * groups];
            const State state = philox_rounds_of(schedule, products);
            products = _mm512_add_epi64(products, all64(std::uint64_t{blocks_at_once} * philox_m0));
            plain_words(schedule, state, word, word + groups);
            for (int k = 0; k < 2 * groups; ++k) {  // (w & ~127) | 128 = ((w >> 7) | 1) << 7
                value[k] = _mm512_cvtepi32_ps(_mm512_ternarylogic_epi32(word[k], all32(0xFFFFFF80u), all32(0x80u), 0xEA));
                value[k] = _mm512_mul_ps(value[k], scale);
                if constexpr (shifted) value[k] = clamped(_mm512_add_ps(value[k], shift), low, high);
            }
            for (int h = 0; h < groups; ++h) store(out + 32 * h, value[h], value[groups + h]);
        }
        return;
    }
    // The words of some batches first, then their normals: fewer registers in use at once, so fewer of them
    // go to memory and back.
    constexpr std::size_t some = 4;
    const Rows rows = rows_in_registers();
    Words word[some][2 * groups];
    while (count > 0) {
        const std::size_t now = std::min(some, count);
        for (std::size_t i = 0; i < now; ++i) {
            Words x[groups], y[groups];
            const State state = philox_rounds_of(schedule, products);
            products = _mm512_add_epi64(products, all64(std::uint64_t{blocks_at_once} * philox_m0));
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
        for (std::size_t i = 0; i < now; ++i, out += at_once) {
            Floats value[2 * groups];
            normals_of<2 * groups>(rows, word[i], value);
            for (int k = 0; k < 2 * groups; ++k) {
                if constexpr (clamp_base) value[k] = clamped(value[k], low, high);
                value[k] = _mm512_mul_ps(value[k], scale);
                if constexpr (shifted) value[k] = _mm512_add_ps(value[k], shift);
            }
            for (int h = 0; h < groups; ++h) store(out + 32 * h, value[h], value[groups + h]);
        }
        count -= now;
    }
}

// The words themselves.
void word_batches(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    const Words numbers = _mm512_add_epi64(all64(block & 0xFFFFFFFFu), lane_numbers<Order::unpacked>());
    Words products = _mm512_mul_epu32(numbers, all64(philox_m0));
    for (std::size_t i = 0; i < count; ++i, out += at_once) {
        Words x[groups], y[groups];
        plain_words(schedule, philox_rounds_of(schedule, products), x, y);
        products = _mm512_add_epi64(products, all64(std::uint64_t{blocks_at_once} * philox_m0));
        for (int h = 0; h < groups; ++h) store(out + 32 * h, x[h], y[h]);
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
    const Rows rows = rows_in_registers();
    std::size_t done = 0;
    for (; done + 16 * groups <= count; done += 16 * groups) {
        Words loaded[groups];
        Floats value[groups];
        for (int k = 0; k < groups; ++k) loaded[k] = _mm512_loadu_si512(word + done + 16 * k);
        normals_of<groups>(rows, loaded, value);
        for (int k = 0; k < groups; ++k) _mm512_storeu_ps(out + done + 16 * k, value[k]);
    }
    for (; done < count; ++done) out[done] = normal32(word[done]);
}

void cast(const float* in, std::size_t count, Dtype dtype, void* out) {
    std::size_t done = 0;
    if (dtype == Dtype::bfloat16 || dtype == Dtype::float16) {
        std::uint16_t* to = static_cast<std::uint16_t*>(out);
        for (; done + 16 <= count; done += 16) {
            const Floats value = _mm512_loadu_ps(in + done);
            const __m256i narrow = dtype == Dtype::float16
                                       ? to_float16(value)
                                       : _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded_up(value), 16));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + done), narrow);
        }
    }
    cast_elements(in + done, count - done, dtype, static_cast<unsigned char*>(out) + done * 2);
}

// What hashing needs of this path.
struct Lanes {
    using Words = __m512i;
    static constexpr std::size_t count = 8;

    static FANIN_INLINE Words load(const std::uint64_t* from) { return _mm512_load_si512(from); }
    static FANIN_INLINE void store(std::uint64_t* to, Words words) { _mm512_store_si512(to, words); }
    static FANIN_INLINE Words all(std::uint64_t value) { return all64(value); }
    static FANIN_INLINE Words add(Words a, Words b) { return _mm512_add_epi64(a, b); }
    static FANIN_INLINE Words either(Words a, Words b) { return _mm512_xor_si512(a, b); }
    template <int by>
    static FANIN_INLINE Words rotate(Words words) { return _mm512_ror_epi64(words, by); }
};

}  // namespace

extern const Path avx512_path;
const Path avx512_path = {"avx512", supported, Ranges<Here>::words, normals, Ranges<Here>::narrow, avx512_wide, cast,
                          keys_in_lanes<Lanes>};

}  // namespace fanin
