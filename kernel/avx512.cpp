// The AVX-512 path: whole batches in one run of memory, and what else is asked of it.
#include "fanin/avx512.hpp"
#include "fanin/hashes.hpp"

namespace fanin {

// In avx512_wide.cpp and avx512_lines.cpp.
void avx512_wide(const Recipe& recipe, const std::uint32_t* first, const std::uint32_t* second, std::size_t count,
                 double* out);
void avx512_lines(const Recipe& recipe, const Key& key, const Lines& lines, Dtype dtype, bool large);

namespace {

bool supported() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// One group's 32 elements, in order.
FANIN_INLINE void store(float* out, Floats x, Floats y) {
    _mm512_storeu_ps(out, _mm512_unpacklo_ps(x, y));
    _mm512_storeu_ps(out + 16, _mm512_unpackhi_ps(x, y));
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

// One run of memory, block after block.
template <class Item>
struct Run {
    Item* at;
    static constexpr std::uint64_t apart = 1;

    // So that floats need two unpacking instructions a group to lie in order, and 16-bit numbers, whose pairs a
    // shift and an or put together, none.
    static FANIN_INLINE Deal deal() {
        constexpr bool packed = sizeof(Item) == 2 && !std::is_same_v<Item, Float16>;
        return {packed ? _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7) : _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7),
                {0, 8, 16, 24}};
    }

    FANIN_INLINE void put(const Floats* value) {
        for (int h = 0; h < groups; ++h) store(at + 32 * h, value[h], value[groups + h]);
        at += at_once;
    }
};

// The words themselves.
void word_batches(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
    const Schedule schedule = schedule_of(key, static_cast<std::uint32_t>(block >> 32));
    const Deal deal = Run<std::uint32_t>::deal();
    const Words numbers = _mm512_add_epi64(all64(block & 0xFFFFFFFFu), deal.lanes);
    Words products = _mm512_mul_epu32(numbers, all64(philox_m0)), after[groups];
    for (int h = 0; h < groups; ++h) after[h] = all64(deal.after[h] * philox_m0);
    for (std::size_t i = 0; i < count; ++i, out += at_once) {
        Words x[groups], y[groups];
        plain_words(schedule, philox_rounds_of(schedule, products, after), x, y);
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
        batches<kind, clamp_base, shifted>(recipe, key, block, count, Run<Item>{out});
    }

    static void draw_words(const Key& key, std::uint64_t block, std::size_t count, std::uint32_t* out) {
        word_batches(key, block, count, out);
    }

    static void fence() { _mm_sfence(); }
};

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    const Table table = table_in_registers();
    std::size_t done = 0;
    for (; done + 16 * groups <= count; done += 16 * groups) {
        Words loaded[groups];
        Floats value[groups];
        for (int k = 0; k < groups; ++k) loaded[k] = _mm512_loadu_si512(word + done + 16 * k);
        normals_of<groups>(table, loaded, value);
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
const Path avx512_path = {"avx512", supported, Ranges<Here>::words, normals, Ranges<Here>::narrow, avx512_lines,
                          avx512_wide, cast, keys_in_lanes<Lanes>};

}  // namespace fanin
