// Round float32 once, to nearest with ties to even, to the small formats.
#pragma once

#include <cstdint>

#include "fanin/transform.hpp"

namespace fanin {

// A format with fewer exponent bits than float32. FiniteOnly formats have no infinity: what
// overflows becomes NaN.
template <unsigned ExponentBits, unsigned MantissaBits, bool FiniteOnly>
static inline std::uint32_t round_small(float value) {
    constexpr unsigned bias = (1u << (ExponentBits - 1)) - 1, dropped = 23 - MantissaBits;
    constexpr std::uint32_t all_ones = (1u << (ExponentBits + MantissaBits)) - 1;
    constexpr std::uint32_t infinity = FiniteOnly ? all_ones : all_ones - ((1u << MantissaBits) - 1);
    constexpr std::uint32_t nan = FiniteOnly ? all_ones : infinity | (1u << (MantissaBits - 1));
    constexpr std::uint32_t rebias = (127 - bias) << 23, smallest = (128 - bias) << 23;
    // A power of two whose float32 unit is the format's smallest step: the adder does the rounding.
    constexpr std::uint32_t magic = (127 + 24 - bias - MantissaBits) << 23;
    const std::uint32_t bits = bits_as<std::uint32_t>(value), size = bits & 0x7FFFFFFFu;
    const std::uint32_t sign = (bits >> 31) << (ExponentBits + MantissaBits);
    const std::uint32_t odd = (size >> dropped) & 1u;
    std::uint32_t rounded = (size - rebias + ((1u << (dropped - 1)) - 1) + odd) >> dropped;
    rounded = rounded > infinity ? infinity : rounded;
    const std::uint32_t tiny =
        bits_as<std::uint32_t>(bits_as<float>(size) + bits_as<float>(magic)) - magic;
    rounded = size < smallest ? tiny : rounded;
    rounded = size == 0x7F800000u ? infinity : rounded;
    rounded = size > 0x7F800000u ? nan : rounded;
    return rounded | sign;
}

static inline std::uint16_t to_bfloat16(float value) {
    const std::uint32_t bits = bits_as<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    return static_cast<std::uint16_t>(nan ? ((bits >> 16) & 0x8000u) | 0x7FC0u : rounded);
}

static inline std::uint16_t to_float16(float value) {
    return static_cast<std::uint16_t>(round_small<5, 10, false>(value));
}

static inline std::uint8_t to_float8_e4m3fn(float value) {
    return static_cast<std::uint8_t>(round_small<4, 3, true>(value));
}

static inline std::uint8_t to_float8_e5m2(float value) {
    return static_cast<std::uint8_t>(round_small<5, 2, false>(value));
}

}  // namespace fanin
