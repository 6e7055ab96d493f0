// The AVX2 path: whole batches in one run of memory, and what else is asked of it.
#include "fanin/avx2.hpp"
#include "fanin/hashes.hpp"

namespace fanin {

// In avx2_lines.cpp.
void avx2_lines(const Recipe& recipe, const Key& key, const Lines& lines, Dtype dtype, bool large);

namespace {

bool supported() {
    __builtin_cpu_init();
    // Every processor with AVX2 has F16C; GCC 10 cannot ask for it by name.
    return __builtin_cpu_supports("avx2");
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

// One run of memory, block after block.
template <class Item>
struct Run {
    Item* at;
    static constexpr std::uint64_t apart = 1;

    // So that unpacking puts floats in order, and 16-bit numbers are there as they are.
    static FANIN_INLINE Words lanes() {
        return sizeof(Item) == 2 && !std::is_same_v<Item, Float16> ? _mm256_setr_epi64x(0, 1, 2, 3)
                                                                   : _mm256_setr_epi64x(0, 2, 1, 3);
    }

    FANIN_INLINE void put(const Floats* value) {
        for (int h = 0; h < groups; ++h) store(at + 16 * h, value[h], value[groups + h]);
        at += at_once;
    }
};

// The words themselves.
void word_batches(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    Words after[groups], products = first_products(block, 1, Run<std::uint32_t>::lanes(), after);
    for (std::size_t i = 0; i < count; ++i, out += at_once) {
        Words x[groups], y[groups];
        plain_words(schedule, philox_rounds_of(schedule, products, after), x, y);
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
        batches<kind, clamp_base, shifted>(recipe, key, block, count, Run<Item>{out});
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
const Path avx2_path = {"avx2", supported, Ranges<Here>::words, normals, Ranges<Here>::narrow, avx2_lines, wide_bases, cast,
                        keys_in_lanes<Lanes>};

}  // namespace fanin
