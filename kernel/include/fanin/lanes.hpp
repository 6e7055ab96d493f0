// The same arithmetic on short arrays, one operation at a time over all lanes, so that a compiler
// turns each loop into vector instructions: SSE2, NEON, or whatever the file is compiled for.
#pragma once

#include "fanin/element.hpp"
#include "fanin/far.hpp"

namespace fanin {

constexpr std::size_t lane_count = 64;

// The words of whole blocks: out[4 * k + j] is word j of block + k, for lane_count / 4 blocks.
static inline void philox_lanes(const Key& key, std::uint64_t block, std::uint32_t* out) {
    for (std::size_t k = 0; k < lane_count / 4; ++k) philox_block(key, block + k, out + 4 * k);
}

static inline void normal32_lanes(const std::uint32_t* word, float* out) {
    std::uint32_t octave[lane_count];
    float r[lane_count], row[lane_count], t[lane_count];
    for (std::size_t k = 0; k < lane_count; ++k) {
        const std::int32_t upper = static_cast<std::int32_t>(word[k]) >> 31;
        const std::int32_t v = (static_cast<std::int32_t>(word[k]) ^ upper) | 1;
        const std::uint32_t bits = bits_as<std::uint32_t>(static_cast<float>(v));
        octave[k] = (bits >> 23) - 127;
        r[k] = bits_as<float>((bits & 0x007FFFFFu) | 0x3F800000u) - 1.5f;
    }
    for (std::size_t k = 0; k < lane_count; ++k) t[k] = narrow_table[narrow_degree][octave[k]];
    for (int j = narrow_degree - 1; j >= 0; --j) {
        for (std::size_t k = 0; k < lane_count; ++k) row[k] = narrow_table[j][octave[k]];
        for (std::size_t k = 0; k < lane_count; ++k)
            t[k] = row[k] + bits_as<float>(bits_as<std::uint32_t>(t[k] * r[k]) & 0xFFFFFFFEu);
    }
    for (std::size_t k = 0; k < lane_count; ++k)
        out[k] = bits_as<float>(bits_as<std::uint32_t>(t[k]) ^ (word[k] & 0x80000000u));
}

static inline void normal64_lanes(const std::uint64_t* word, double* out) {
    std::uint64_t octave[lane_count];
    double r[lane_count], row[lane_count], t[lane_count];
    for (std::size_t k = 0; k < lane_count; ++k) {
        const std::uint64_t upper = std::uint64_t{0} - (word[k] >> 63);
        const std::int64_t v = static_cast<std::int64_t>((word[k] ^ upper) | 1u);
        const std::uint64_t bits = bits_as<std::uint64_t>(static_cast<double>(v));
        octave[k] = (bits >> 52) - 1023;
        r[k] = bits_as<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u) - 1.5;
    }
    for (std::size_t k = 0; k < lane_count; ++k) t[k] = wide_table[wide_degree][octave[k]];
    for (int j = wide_degree - 1; j >= 0; --j) {
        for (std::size_t k = 0; k < lane_count; ++k) row[k] = wide_table[j][octave[k]];
        for (std::size_t k = 0; k < lane_count; ++k)
            t[k] = row[k] + bits_as<double>(bits_as<std::uint64_t>(t[k] * r[k]) & ~std::uint64_t{1});
    }
    for (std::size_t k = 0; k < lane_count; ++k)
        out[k] = bits_as<double>(bits_as<std::uint64_t>(t[k]) ^ (word[k] & 0x8000000000000000u));
}

// Whole lanes of float32 elements, from the block on.
static inline void narrow_lanes(const Recipe& recipe, const Key& key, std::uint64_t block, float* out) {
    std::uint32_t word[lane_count];
    philox_lanes(key, block, word);
    if (recipe.kind == Kind::uniform) {
        for (std::size_t k = 0; k < lane_count; ++k) out[k] = uniform32(word[k]);
    } else {
        if (recipe.kind == Kind::truncated)
            for (std::size_t k = 0; k < lane_count; ++k) word[k] = window32(word[k], recipe.start, recipe.width);
        normal32_lanes(word, out);
    }
    affine_all(recipe, lane_count, out);
}

// Any range in plain C++.
static inline void portable_range(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count,
                                  float* out) {
    std::size_t done = static_cast<std::size_t>(-begin & 3);
    done = done < count ? done : count;
    narrow_elements(recipe, key, begin, done, out);
    for (; done + lane_count <= count; done += lane_count)
        narrow_lanes(recipe, key, (begin + done) >> 2, out + done);
    narrow_elements(recipe, key, begin + done, count - done, out + done);
}

static inline void portable_narrow(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count,
                                   Dtype dtype, bool, void* out) {
    if (dtype == Dtype::float32) {
        portable_range(recipe, key, begin, count, static_cast<float*>(out));
        return;
    }
    constexpr std::size_t chunk = 1024;
    float values[chunk];
    for (std::size_t done = 0; done < count; done += chunk) {
        const std::size_t now = count - done < chunk ? count - done : chunk;
        portable_range(recipe, key, begin + done, now, values);
        cast_elements(values, now, dtype, static_cast<std::uint16_t*>(out) + done);
    }
}

// Float64 bases from two words each.
static inline void wide_bases(const Recipe& recipe, const std::uint32_t* first, const std::uint32_t* second,
                              std::size_t count, double* out) {
    if (recipe.far.near != 0.0) return far_bases(recipe.far, first, second, count, out);
    std::size_t done = 0;
    if (recipe.kind != Kind::uniform) {
        std::uint64_t word[lane_count];
        for (; done + lane_count <= count; done += lane_count) {
            for (std::size_t k = 0; k < lane_count; ++k)
                word[k] = (static_cast<std::uint64_t>(first[done + k]) << 32) | second[done + k];
            if (recipe.kind == Kind::truncated)
                for (std::size_t k = 0; k < lane_count; ++k)
                    word[k] = window64(word[k], recipe.start, recipe.width);
            normal64_lanes(word, out + done);
        }
    }
    for (; done < count; ++done) out[done] = wide_base(recipe, first[done], second[done]);
}

}  // namespace fanin
