// One element at a time: what the vector paths use for the ends of a range, and the portable path
// for all of it.
#pragma once

#include "fanin/cast.hpp"
#include "fanin/fill.hpp"
#include "fanin/transform.hpp"

namespace fanin {

template <class Number>
static inline Number clamp(Number value, Number low, Number high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}

template <class Number>
static inline Number affine(const Recipe& recipe, Number base) {
    const Number low = static_cast<Number>(recipe.low), high = static_cast<Number>(recipe.high);
    if (recipe.kind == Kind::truncated) base = clamp(base, low, high);
    Number value = base * static_cast<Number>(recipe.scale);
    if (recipe.shift != 0.0) {
        value = value + static_cast<Number>(recipe.shift);
        if (recipe.kind == Kind::uniform) value = clamp(value, low, high);
    }
    return value;
}

// The same in place on an array, with the choices outside the loops.
template <class Number>
static inline void affine_all(const Recipe& recipe, std::size_t count, Number* values) {
    const Number low = static_cast<Number>(recipe.low), high = static_cast<Number>(recipe.high);
    const Number scale = static_cast<Number>(recipe.scale), shift = static_cast<Number>(recipe.shift);
    if (recipe.kind == Kind::truncated)
        for (std::size_t i = 0; i < count; ++i) values[i] = clamp(values[i], low, high);
    for (std::size_t i = 0; i < count; ++i) values[i] = values[i] * scale;
    if (recipe.shift == 0.0) return;
    for (std::size_t i = 0; i < count; ++i) values[i] = values[i] + shift;
    if (recipe.kind == Kind::uniform)
        for (std::size_t i = 0; i < count; ++i) values[i] = clamp(values[i], low, high);
}

static inline float narrow_element(const Recipe& recipe, std::uint32_t word) {
    if (recipe.kind == Kind::uniform) return affine(recipe, uniform32(word));
    if (recipe.kind == Kind::truncated) word = window32(word, recipe.start, recipe.width);
    return affine(recipe, normal32(word));
}

static inline double wide_base(const Recipe& recipe, std::uint32_t first, std::uint32_t second) {
    std::uint64_t word = (static_cast<std::uint64_t>(first) << 32) | second;
    if (recipe.kind == Kind::uniform) return uniform64(word);
    if (recipe.kind == Kind::truncated) word = window64(word, recipe.start, recipe.width);
    return normal64(word);
}

// The ends of a range that no whole vector covers.
static inline void narrow_elements(const Recipe& recipe, const Key& key, std::uint64_t begin,
                                   std::size_t count, float* out) {
    std::uint32_t block[4];
    std::size_t done = 0;
    while (done < count) {
        philox_block(key, (begin + done) >> 2, block);
        for (unsigned word = (begin + done) & 3; word < 4 && done < count; ++word)
            out[done++] = narrow_element(recipe, block[word]);
    }
}

static inline void cast_elements(const float* in, std::size_t count, Dtype dtype, void* out) {
    switch (dtype) {
        case Dtype::float16:
            for (std::size_t i = 0; i < count; ++i) static_cast<std::uint16_t*>(out)[i] = to_float16(in[i]);
            break;
        case Dtype::bfloat16:
            for (std::size_t i = 0; i < count; ++i) static_cast<std::uint16_t*>(out)[i] = to_bfloat16(in[i]);
            break;
        case Dtype::float8_e4m3fn:
            for (std::size_t i = 0; i < count; ++i) static_cast<std::uint8_t*>(out)[i] = to_float8_e4m3fn(in[i]);
            break;
        case Dtype::float8_e5m2:
            for (std::size_t i = 0; i < count; ++i) static_cast<std::uint8_t*>(out)[i] = to_float8_e5m2(in[i]);
            break;
        case Dtype::float32:
        case Dtype::float64:
            break;  // written without a cast
    }
}

}  // namespace fanin
