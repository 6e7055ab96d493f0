// The NEON path of AArch64: 16 blocks (64 words) at once; the eight commonest octaves are looked up in
// registers, and the few elements of a rarer one are computed again, one by one.
#include <arm_neon.h>

#include "fanin/batches.hpp"
#include "fanin/keys.hpp"
#include "fanin/lines.hpp"

namespace fanin {
namespace {

using Words = uint32x4_t;
using Floats = float32x4_t;

#define FANIN_INLINE inline __attribute__((always_inline))

// Groups of 4 blocks that run side by side.
constexpr int groups = 4;
constexpr int vectors = 4 * groups;
constexpr std::size_t blocks_at_once = 4 * groups;
constexpr std::size_t at_once = 4 * blocks_at_once;
constexpr int coefficients = narrow_degree + 1;
// Octaves 23 to 30: all words but 1 in 256.
constexpr int first_common = 23;
constexpr std::uint32_t first_pattern = static_cast<std::uint32_t>(first_common + 127) << 23;

struct Common {
    alignas(16) float rows[coefficients][8];
};

constexpr Common make_common() {
    Common common = {};
    for (int j = 0; j < coefficients; ++j)
        for (int k = 0; k < 8; ++k) common.rows[j][k] = narrow_table[j][first_common + k];
    return common;
}

constexpr Common common = make_common();

// Advanced SIMD is part of every AArch64.
bool supported() { return true; }

FANIN_INLINE Words all32(std::uint64_t value) { return vdupq_n_u32(static_cast<std::uint32_t>(value)); }
FANIN_INLINE Words xor3(Words a, Words b, Words c) { return veorq_u32(a, veorq_u32(b, c)); }

// The whole products of four words with one number, as their lower and upper halves.
struct Product {
    Words low, high;
};

FANIN_INLINE Product halves(uint64x2_t first, uint64x2_t second) {
    const Words a = vreinterpretq_u32_u64(first), b = vreinterpretq_u32_u64(second);
    return {vuzp1q_u32(a, b), vuzp2q_u32(a, b)};
}

FANIN_INLINE Product product(Words word, std::uint32_t number) {
    return halves(vmull_u32(vget_low_u32(word), vdup_n_u32(number)), vmull_high_u32(word, vdupq_n_u32(number)));
}

// Word j of the blocks of group h in word[groups * j + h]; block `first` is in the first lane of the first, and
// from lane to lane they are `apart`.
FANIN_INLINE void philox_words_of(const Schedule& schedule, std::uint32_t first, std::uint32_t apart, Words* word) {
    static constexpr std::uint32_t numbers[4] = {0, 1, 2, 3};
    Words a[groups], b[groups], c[groups], d[groups];
    for (int h = 0; h < groups; ++h) {
        const Words block = vmlaq_n_u32(vdupq_n_u32(first + 4 * static_cast<std::uint32_t>(h) * apart),
                                        vld1q_u32(numbers), apart);
        const Product p = product(block, philox_m0);
        const Product q = product(veorq_u32(p.high, all32(schedule.first_c)), philox_m1);
        a[h] = veorq_u32(q.high, all32(schedule.second_a));
        b[h] = q.low;
        c[h] = veorq_u32(p.low, all32(schedule.second_c));
    }
    for (int h = 0; h < groups; ++h) {
        const Product p = product(a[h], philox_m0), q = product(c[h], philox_m1);
        a[h] = xor3(q.high, b[h], all32(schedule.keys0[2]));
        c[h] = veorq_u32(p.high, all32(schedule.third_c));
        b[h] = q.low;
        d[h] = p.low;
    }
FANIN_UNROLL
    for (int round = 3; round < philox_rounds; ++round) {
        for (int h = 0; h < groups; ++h) {
            const Product p = product(a[h], philox_m0), q = product(c[h], philox_m1);
            a[h] = xor3(q.high, b[h], all32(schedule.keys0[round]));
            c[h] = xor3(p.high, d[h], all32(schedule.keys1[round]));
            b[h] = q.low;
            d[h] = p.low;
        }
    }
    for (int h = 0; h < groups; ++h) {
        word[h] = a[h];
        word[groups + h] = b[h];
        word[2 * groups + h] = c[h];
        word[3 * groups + h] = d[h];
    }
}

// start + floor((word + 1/2) width / 2^32) for width < 2^32: `offset` is the start in the upper half and
// half the width in the lower.
FANIN_INLINE Words window_words(Words word, uint32x2_t width, uint64x2_t offset) {
    return halves(vmlal_u32(offset, vget_low_u32(word), width), vmlal_u32(offset, vget_high_u32(word), width)).high;
}

// Elements of octaves that are not common, one by one.
__attribute__((noinline)) void mend(const Words* word, const Words* octave, Floats* out, int count) {
    for (int k = 0; k < count; ++k) {
        std::uint32_t from[4], place[4];
        float to[4];
        vst1q_u32(from, word[k]);
        vst1q_u32(place, octave[k]);
        vst1q_f32(to, out[k]);
        for (int lane = 0; lane < 4; ++lane)
            if (place[lane] > 7) to[lane] = normal32(from[lane]);
        out[k] = vld1q_f32(to);
    }
}

// Normals of several vectors in step, so that their long chains overlap.
template <int count>
FANIN_INLINE void normals_of(const Words* word, Floats* out) {
    Words octave[count], seen = vdupq_n_u32(0);
    uint8x16_t place[count];
    Floats r[count], t[count];
    for (int k = 0; k < count; ++k) {
        // The size of w | 1 is v.
        const int32x4_t v = vabsq_s32(vreinterpretq_s32_u32(vorrq_u32(word[k], vdupq_n_u32(1))));
        const Words bits = vreinterpretq_u32_f32(vcvtq_f32_s32(v));
        // 0 to 7 where the octave is common; else more, as a number without sign.
        octave[k] = vreinterpretq_u32_s32(
            vshrq_n_s32(vreinterpretq_s32_u32(vsubq_u32(bits, vdupq_n_u32(first_pattern))), 23));
        seen = vmaxq_u32(seen, octave[k]);
        // The four bytes of an octave's coefficient; places beyond the table give zeros.
        place[k] = vreinterpretq_u8_u32(
            vmlaq_u32(vdupq_n_u32(0x03020100u), octave[k], vdupq_n_u32(0x04040404u)));
        const Words mantissa = vbslq_u32(vdupq_n_u32(0x007FFFFFu), bits, vdupq_n_u32(0x3F800000u));
        r[k] = vsubq_f32(vreinterpretq_f32_u32(mantissa), vdupq_n_f32(1.5f));
    }
    const auto row = [&](int j, int k) {
        const uint8x16x2_t table = {{vreinterpretq_u8_f32(vld1q_f32(common.rows[j])),
                                     vreinterpretq_u8_f32(vld1q_f32(common.rows[j] + 4))}};
        return vreinterpretq_f32_u8(vqtbl2q_u8(table, place[k]));
    };
    for (int k = 0; k < count; ++k) t[k] = row(narrow_degree, k);
FANIN_UNROLL
    for (int j = narrow_degree - 1; j >= 0; --j) {
        for (int k = 0; k < count; ++k) {
            const Words cut = vbicq_u32(vreinterpretq_u32_f32(vmulq_f32(t[k], r[k])), vdupq_n_u32(1));
            t[k] = vaddq_f32(row(j, k), vreinterpretq_f32_u32(cut));
        }
    }
    for (int k = 0; k < count; ++k) {
        const Words sign = vandq_u32(word[k], vdupq_n_u32(0x80000000u));
        out[k] = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(t[k]), sign));
    }
    if (__builtin_expect(vmaxvq_u32(seen) > 7, 0)) mend(word, octave, out, count);
}

// An equal base is kept, as in element.hpp; NEON's own minimum and maximum tell zeros apart.
FANIN_INLINE Floats clamped(Floats base, Floats low, Floats high) {
    base = vbslq_f32(vcltq_f32(base, low), low, base);
    return vbslq_f32(vcgtq_f32(base, high), high, base);
}

// Rounding the pattern is all there is to bfloat16: draws hold no NaN (recipes are checked).
FANIN_INLINE uint16x4_t to_bfloat16x4(Floats value) {
    const Words bits = vreinterpretq_u32_f32(value);
    const Words odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    return vshrn_n_u32(vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd), 16);
}

FANIN_INLINE uint16x4_t to_float16x4(Floats value) { return vreinterpret_u16_f16(vcvt_f16_f32(value)); }

// Four blocks: word j of each in `words[j * groups]`; storing interleaves them.
FANIN_INLINE void store(float* out, const Floats* value) {
    vst4q_f32(out, (float32x4x4_t{{value[0], value[groups], value[2 * groups], value[3 * groups]}}));
}

FANIN_INLINE void store(Bfloat16* out, const Floats* value) {
    vst4_u16(&out->bits, (uint16x4x4_t{{to_bfloat16x4(value[0]), to_bfloat16x4(value[groups]),
                                        to_bfloat16x4(value[2 * groups]), to_bfloat16x4(value[3 * groups])}}));
}

FANIN_INLINE void store(Float16* out, const Floats* value) {
    vst4_u16(&out->bits, (uint16x4x4_t{{to_float16x4(value[0]), to_float16x4(value[groups]),
                                        to_float16x4(value[2 * groups]), to_float16x4(value[3 * groups])}}));
}

// One word of four rows.
FANIN_INLINE void keep(float* out, Floats value) { vst1q_f32(out, value); }
FANIN_INLINE void keep(Bfloat16* out, Floats value) { vst1_u16(&out->bits, to_bfloat16x4(value)); }
FANIN_INLINE void keep(Float16* out, Floats value) { vst1_u16(&out->bits, to_float16x4(value)); }

// One run of memory, block after block.
template <class Item>
struct Run {
    Item* at;
    static constexpr std::uint32_t apart = 1;

    FANIN_INLINE void put(const Floats* value) {
        for (int h = 0; h < groups; ++h) store(at + 16 * h, value + h);
        at += at_once;
    }
};

// Four lines, a row a block: word j of four rows is a vector as it is.
template <class Item>
struct Four {
    std::uint32_t apart;
    Item* at[4];

    FANIN_INLINE void put(const Floats* value) {
        for (int j = 0; j < 4; ++j) {
            for (int h = 0; h < groups; ++h) keep(at[j] + 4 * h, value[groups * j + h]);
            at[j] += blocks_at_once;
        }
    }
};

// Whole batches from the block on; none may cross a multiple of 2^32 blocks. `Out` says how far blocks are
// apart, and puts a batch's values where they belong: word j of group h is in value[groups * j + h].
template <Kind kind, bool clamp_base, bool shifted, class Out>
__attribute__((noinline)) void batches(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count,
                                       Out out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    // A uniform's two multiplications are one: the factors 2^-31 and 2^7 are exact.
    const Floats scale = vdupq_n_f32(static_cast<float>(recipe.scale) * (kind == Kind::uniform ? 0x1p-31f : 1.0f));
    const Floats shift = vdupq_n_f32(static_cast<float>(recipe.shift));
    const Floats low = vdupq_n_f32(static_cast<float>(recipe.low));
    const Floats high = vdupq_n_f32(static_cast<float>(recipe.high));
    const uint32x2_t width = vdup_n_u32(static_cast<std::uint32_t>(recipe.width));
    const uint64x2_t offset = vdupq_n_u64((recipe.start << 32) + (recipe.width >> 1));
    std::uint32_t first = static_cast<std::uint32_t>(block);
    for (std::size_t i = 0; i < count; ++i) {
        Words word[vectors];
        Floats value[vectors];
        philox_words_of(schedule, first, out.apart, word);
        first += static_cast<std::uint32_t>(blocks_at_once) * out.apart;
        if constexpr (kind == Kind::truncated)
            for (int k = 0; k < vectors; ++k) word[k] = window_words(word[k], width, offset);
        if constexpr (kind == Kind::uniform) {
            for (int k = 0; k < vectors; ++k) {  // (w & ~127) | 128 = ((w >> 7) | 1) << 7
                const Words odd = vorrq_u32(vandq_u32(word[k], vdupq_n_u32(0xFFFFFF80u)), vdupq_n_u32(0x80u));
                value[k] = vcvtq_f32_s32(vreinterpretq_s32_u32(odd));
            }
        } else {
            for (int k = 0; k < vectors; k += 4) normals_of<4>(word + k, value + k);
        }
        for (int k = 0; k < vectors; ++k) {
            if constexpr (clamp_base) value[k] = clamped(value[k], low, high);
            value[k] = vmulq_f32(value[k], scale);
            if constexpr (shifted) value[k] = vaddq_f32(value[k], shift);
            if constexpr (shifted && kind == Kind::uniform) value[k] = clamped(value[k], low, high);
        }
        out.put(value);
    }
}

// The words themselves.
void word_batches(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    std::uint32_t first = static_cast<std::uint32_t>(block);
    for (std::size_t i = 0; i < count; ++i, out += at_once) {
        Words word[vectors];
        philox_words_of(schedule, first, 1, word);
        first += static_cast<std::uint32_t>(blocks_at_once);
        for (int h = 0; h < groups; ++h)
            vst4q_u32(out + 16 * h,
                      (uint32x4x4_t{{word[h], word[groups + h], word[2 * groups + h], word[3 * groups + h]}}));
    }
}

// What Ranges needs of this path.
struct Here {
    static constexpr std::size_t batch = at_once;
    // Compilers offer no store past the caches here.
    static constexpr bool streams = false;

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void draw(const Recipe& recipe, const Key& key, std::uint64_t block, std::size_t count, Item* out) {
        batches<kind, clamp_base, shifted>(recipe, key, block, count, Run<Item>{out});
    }

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void draw(const Recipe& recipe, const Key& key, std::uint64_t block, std::uint64_t apart, std::size_t count,
                     Item* const* out, bool) {
        // Of larger steps only the first row of a batch is wanted.
        batches<kind, clamp_base, shifted>(
            recipe, key, block, count, Four<Item>{static_cast<std::uint32_t>(apart), {out[0], out[1], out[2], out[3]}});
    }

    static void draw_words(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
        word_batches(key, block, count, out);
    }
};

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    std::size_t done = 0;
    for (; done + 16 <= count; done += 16) {
        Words loaded[4];
        Floats value[4];
        for (int k = 0; k < 4; ++k) loaded[k] = vld1q_u32(word + done + 4 * k);
        normals_of<4>(loaded, value);
        for (int k = 0; k < 4; ++k) vst1q_f32(out + done + 4 * k, value[k]);
    }
    for (; done < count; ++done) out[done] = normal32(word[done]);
}

void cast(const float* in, std::size_t count, Dtype dtype, void* out) {
    std::size_t done = 0;
    if (dtype == Dtype::bfloat16 || dtype == Dtype::float16) {
        std::uint16_t* to = static_cast<std::uint16_t*>(out);
        for (; done + 4 <= count; done += 4) {
            const Floats value = vld1q_f32(in + done);
            vst1_u16(to + done, dtype == Dtype::float16 ? to_float16x4(value) : to_bfloat16x4(value));
        }
    }
    cast_elements(in + done, count - done, dtype, static_cast<unsigned char*>(out) + done * 2);
}

}  // namespace

extern const Path neon_path;
const Path neon_path = {"neon", supported, Ranges<Here>::words, normals, Ranges<Here>::narrow, Lined<Here>::narrow, wide_bases,
                        cast, keys_one_by_one};

}  // namespace fanin
