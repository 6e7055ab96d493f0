// From words to uniforms and normals, one element at a time: what every path must reproduce.
//
// Every product of a polynomial passes through an integer operation that clears its lowest bit
// before it is added, so no compiler can contract it into a fused multiply-add.
#pragma once

#include <cstdint>
#include <cstring>

#include "fanin/table.hpp"

namespace fanin {

template <class To, class From>
static inline To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "a bit pattern keeps its size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

static inline float uniform32(std::uint32_t word) {
    const std::int32_t odd = (static_cast<std::int32_t>(word) >> 7) | 1;
    return static_cast<float>(odd) * 0x1p-24f;
}

static inline double uniform64(std::uint64_t word) {
    const std::int64_t odd = (static_cast<std::int64_t>(word) >> 10) | 1;
    return static_cast<double>(odd) * 0x1p-53;
}

static inline float normal32(std::uint32_t word) {
    const std::uint32_t upper = 0u - (word >> 31);
    const std::int32_t v = static_cast<std::int32_t>((word ^ upper) | 1u);
    const std::uint32_t bits = bits_as<std::uint32_t>(static_cast<float>(v));
    const std::uint32_t octave = (bits >> 23) - 127;
    const float r = bits_as<float>((bits & 0x007FFFFFu) | 0x3F800000u) - 1.5f;
    float t = narrow_table[narrow_degree][octave];
    for (int j = narrow_degree - 1; j >= 0; --j) {
        const std::uint32_t cut = bits_as<std::uint32_t>(t * r) & 0xFFFFFFFEu;
        t = narrow_table[j][octave] + bits_as<float>(cut);
    }
    return bits_as<float>(bits_as<std::uint32_t>(t) ^ (word & 0x80000000u));
}

static inline double normal64(std::uint64_t word) {
    const std::uint64_t upper = std::uint64_t{0} - (word >> 63);
    const std::int64_t v = static_cast<std::int64_t>((word ^ upper) | 1u);
    const std::uint64_t bits = bits_as<std::uint64_t>(static_cast<double>(v));
    const std::uint64_t octave = (bits >> 52) - 1023;
    const double r = bits_as<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u) - 1.5;
    double t = wide_table[wide_degree][octave];
    for (int j = wide_degree - 1; j >= 0; --j) {
        const std::uint64_t cut = bits_as<std::uint64_t>(t * r) & ~std::uint64_t{1};
        t = wide_table[j][octave] + bits_as<double>(cut);
    }
    return bits_as<double>(bits_as<std::uint64_t>(t) ^ (word & 0x8000000000000000u));
}

// All words evenly onto [start, start + width): start + floor((w + 1/2) width / 2^32).
static inline std::uint32_t window32(std::uint32_t word, std::uint64_t start, std::uint64_t width) {
    return static_cast<std::uint32_t>(start + ((word * width + (width >> 1)) >> 32));
}

// start + floor((w + 1/2) width / 2^64), in 32-bit limbs.
static inline std::uint64_t window64(std::uint64_t word, std::uint64_t start, std::uint64_t width) {
    constexpr std::uint64_t low_half = 0xFFFFFFFFu;
    const std::uint64_t low = word & low_half, high = word >> 32;
    const std::uint64_t width_low = width & low_half, width_high = width >> 32, half = width >> 1;
    const std::uint64_t limb = low * width_low + (half & low_half);
    const std::uint64_t middle = high * width_low, cross = low * width_high;
    const std::uint64_t inner = (limb >> 32) + (middle & low_half) + (cross & low_half) + (half >> 32);
    return start + high * width_high + (middle >> 32) + (cross >> 32) + (inner >> 32);
}

}  // namespace fanin
