// How a vector path that draws in batches of whole blocks serves any range.
//
// `Here` is the path: `batch` items at once; `draw(recipe, key, block, count, out)` draws whole batches,
// none of which crosses a multiple of 2^32 blocks; `draw_words` likewise; `streams` where it can write past
// the caches, and then `fence` ends a run of such stores. It lives in an unnamed namespace, so no two paths
// share an instantiation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "fanin/lanes.hpp"

namespace fanin {

// Patterns of the 16-bit formats, told apart by type.
struct Bfloat16 {
    std::uint16_t bits;
};
struct Float16 {
    std::uint16_t bits;
};

// An item written past the caches, which saves reading the memory that it overwrites; its memory begins at
// a whole vector.
template <class Item>
struct Streamed {
    Item item;
};
constexpr std::size_t stream_alignment = 64;

// Below this a uniform's scale times 2^-31 would be subnormal, and not exact.
constexpr double least_uniform_scale = 0x1p-95;

// Whether clamping a truncated draw changes nothing: normals never decrease with their word, so the
// ends of the window speak for all of it.
static inline bool clamps_nothing(const Recipe& recipe) {
    const float low = normal32(window32(0, recipe.start, recipe.width));
    const float high = normal32(window32(0xFFFFFFFFu, recipe.start, recipe.width));
    return low >= static_cast<float>(recipe.low) && high <= static_cast<float>(recipe.high);
}

// Call `work` with a recipe's kind, whether it clamps bases and whether it shifts, each as a constant.
template <class Work>
static inline void as_constants(const Recipe& recipe, const Work& work) {
    const auto with = [&](auto kind, auto clamp_base) {
        if (recipe.shift != 0.0) {
            work(kind, clamp_base, std::true_type());
        } else {
            work(kind, clamp_base, std::false_type());
        }
    };
    if (recipe.kind == Kind::uniform) {
        with(std::integral_constant<Kind, Kind::uniform>(), std::false_type());
    } else if (recipe.kind == Kind::normal) {
        with(std::integral_constant<Kind, Kind::normal>(), std::false_type());
    } else if (clamps_nothing(recipe)) {
        with(std::integral_constant<Kind, Kind::truncated>(), std::false_type());
    } else {
        with(std::integral_constant<Kind, Kind::truncated>(), std::true_type());
    }
}

template <class Here>
struct Ranges {
    static constexpr std::size_t batch = Here::batch;

    template <class Item, class Whole, class Single>
    static void in_batches(std::uint64_t begin, std::size_t count, Item* out, const Whole& whole,
                           const Single& single) {
        constexpr std::uint64_t blocks = batch / 4, high_step = std::uint64_t{1} << 32;
        while (count > 0) {
            const std::uint64_t block = begin >> 2;
            const std::size_t before = static_cast<std::size_t>(begin & 3);
            const std::uint64_t room = (high_step - (block & (high_step - 1))) / blocks;
            std::size_t now = 0;
            if (before == 0 && count >= batch && room > 0) {
                const std::size_t batches = static_cast<std::size_t>(std::min<std::uint64_t>(count / batch, room));
                whole(block, batches, out);
                now = batches * batch;
            } else {
                now = std::min(count, batch - before);
                if (room > 0) {
                    // A batch of which a part is wanted costs less than the part by elements.
                    alignas(64) Item drawn[batch];
                    whole(block, 1, drawn);
                    std::memcpy(out, drawn + before, now * sizeof(Item));
                } else {
                    single(begin, now, out);
                }
            }
            begin += now;
            out += now;
            count -= now;
        }
    }

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void range(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count, Item* out) {
        in_batches(
            begin, count, out,
            [&](std::uint64_t block, std::size_t whole, Item* to) {
                Here::template draw<kind, clamp_base, shifted>(recipe, key, block, whole, to);
            },
            [&](std::uint64_t first, std::size_t some, Item* to) {
                if constexpr (std::is_same_v<Item, float>) {
                    narrow_elements(recipe, key, first, some, to);
                } else {
                    float values[batch];
                    narrow_elements(recipe, key, first, some, values);
                    cast_elements(values, some, std::is_same_v<Item, Float16> ? Dtype::float16 : Dtype::bfloat16, to);
                }
            });
    }

    // Whole batches of plain draws that begin at a whole vector; says how many items it left before and
    // drew.
    template <Kind kind, class Item>
    static std::pair<std::size_t, std::size_t> streamed(const Recipe& recipe, const Key& key, std::uint64_t begin,
                                                        std::size_t count, Item* out) {
        const std::size_t before =
            (std::size_t{0} - reinterpret_cast<std::uintptr_t>(out)) % stream_alignment / sizeof(Item);
        const std::uint64_t block = (begin + before) >> 2, high_step = std::uint64_t{1} << 32;
        const std::size_t whole = before < count ? (count - before) / batch : 0;
        if (whole == 0 || (begin + before) % 4 != 0 || (block & (high_step - 1)) + whole * batch / 4 > high_step)
            return {0, 0};
        Here::template draw<kind, false, false>(recipe, key, block, whole,
                                                reinterpret_cast<Streamed<Item>*>(out + before));
        Here::fence();
        return {before, whole * batch};
    }

    template <class Item>
    static void stream(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count, Item* out) {
        std::pair<std::size_t, std::size_t> drawn = {0, 0};
        if (recipe.shift == 0.0) {
            if (recipe.kind == Kind::uniform) {
                drawn = streamed<Kind::uniform>(recipe, key, begin, count, out);
            } else if (recipe.kind == Kind::normal) {
                drawn = streamed<Kind::normal>(recipe, key, begin, count, out);
            } else if (clamps_nothing(recipe)) {
                drawn = streamed<Kind::truncated>(recipe, key, begin, count, out);
            }
        }
        const std::size_t done = drawn.first + drawn.second;
        items(recipe, key, begin, drawn.first, out);
        items(recipe, key, begin + done, count - done, out + done);
    }

    template <class Item>
    static void items(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count, Item* out) {
        as_constants(recipe, [&](auto kind, auto clamp_base, auto shifted) {
            range<kind, clamp_base, shifted>(recipe, key, begin, count, out);
        });
    }

    template <class Item>
    static void items_of(bool large, const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count,
                         Item* out) {
        if constexpr (Here::streams) {
            if (large) return stream(recipe, key, begin, count, out);
        }
        static_cast<void>(large);
        items(recipe, key, begin, count, out);
    }

    // Path::narrow.
    static void narrow(const Recipe& recipe, const Key& key, std::uint64_t begin, std::size_t count, Dtype dtype,
                       bool large, void* out) {
        if (recipe.kind == Kind::uniform && recipe.scale < least_uniform_scale) {
            portable_narrow(recipe, key, begin, count, dtype, large, out);
        } else if (dtype == Dtype::bfloat16) {
            items_of(large, recipe, key, begin, count, static_cast<Bfloat16*>(out));
        } else if (dtype == Dtype::float16) {
            items(recipe, key, begin, count, static_cast<Float16*>(out));
        } else {
            items_of(large, recipe, key, begin, count, static_cast<float*>(out));
        }
    }

    // Path::words.
    static void words(const Key& key, std::uint64_t begin, std::size_t count, std::uint32_t* out) {
        in_batches(
            begin, count, out,
            [&](std::uint64_t block, std::size_t whole, std::uint32_t* to) {
                Here::draw_words(key, block, whole, to);
            },
            [&](std::uint64_t first, std::size_t some, std::uint32_t* to) { philox_words(key, first, some, to); });
    }
};

}  // namespace fanin
