// How a vector path that draws in batches of whole blocks serves lines: a block a row, a lane a row.
//
// `Here` is the path: `batch` items, four a row, at once; `draw(recipe, key, block, apart, count, out, streamed)`
// draws whole batches into four lines; `streams` where it can write past the caches if each line begins at a
// whole vector.
#pragma once

#include "fanin/batches.hpp"

namespace fanin {

template <class Here>
struct Lined {
    static constexpr std::size_t batch = Here::batch / 4;
    // Rows that are drawn beside the lines where these want only a part of them.
    static constexpr std::size_t beside = 8 * batch;

    template <Kind kind, bool clamp_base, bool shifted, class Item>
    static void drawn(const Recipe& recipe, const Key& key, const Lines& lines, bool large) {
        constexpr std::uint64_t lowest = 0xFFFFFFFFu;
        std::uint64_t block = lines.block;
        Item* at[4];
        bool all = true;
        for (int k = 0; k < 4; ++k) {
            at[k] = static_cast<Item*>(lines.at[k]);
            all = all && at[k] != nullptr;
        }
        for (std::size_t left = lines.length, now = 0; left > 0; left -= now) {
            // Up to where the lower counter word begins anew; lanes beyond hold what nobody reads.
            const std::uint64_t room = (lowest - (block & lowest)) / lines.apart + 1;
            now = static_cast<std::size_t>(std::min<std::uint64_t>(left, room));
            if (all && now >= batch) {
                now -= now % batch;
                Here::template draw<kind, clamp_base, shifted>(recipe, key, block, lines.apart, now / batch, at,
                                                               large && aligned(at));
            } else {
                now = std::min(now, beside);
                alignas(64) Item drawn[4][beside];
                Item* const to[4] = {drawn[0], drawn[1], drawn[2], drawn[3]};
                Here::template draw<kind, clamp_base, shifted>(recipe, key, block, lines.apart, (now - 1) / batch + 1,
                                                               to, false);
                for (int k = 0; k < 4; ++k)
                    if (at[k] != nullptr) std::memcpy(at[k], drawn[k], now * sizeof(Item));
            }
            for (Item*& line : at)
                if (line != nullptr) line += now;
            block = (block + now * lines.apart) & (~std::uint64_t{0} >> 2);
        }
    }

    template <class Item>
    static bool aligned(Item* const* at) {
        bool whole = Here::streams;
        for (int k = 0; k < 4; ++k) whole = whole && reinterpret_cast<std::uintptr_t>(at[k]) % stream_alignment == 0;
        return whole;
    }

    template <class Item>
    static void items(const Recipe& recipe, const Key& key, const Lines& lines, bool large) {
        as_constants(recipe, [&](auto kind, auto clamp_base, auto shifted) {
            drawn<kind, clamp_base, shifted, Item>(recipe, key, lines, large);
        });
    }

    // Path::lines.
    static void narrow(const Recipe& recipe, const Key& key, const Lines& lines, Dtype dtype, bool large) {
        if (dtype == Dtype::bfloat16) {
            items<Bfloat16>(recipe, key, lines, large);
        } else if (dtype == Dtype::float16) {
            items<Float16>(recipe, key, lines, large);
        } else {
            items<float>(recipe, key, lines, large);
        }
    }
};

}  // namespace fanin
