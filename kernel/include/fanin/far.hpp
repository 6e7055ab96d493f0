// Normals beyond seven sigma: SPEC.md, section 5, operation by operation as in far.py.
//
// Loops over lanes, one operation after the other, so that a compiler makes vector instructions of them; all
// of them are + - * / and a square root, which round alike everywhere. Nothing here may be contracted.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fanin/fill.hpp"
#include "fanin/transform.hpp"

namespace fanin {

constexpr std::size_t far_lanes = 32;
constexpr int far_levels = 40, far_steps = 4, far_terms = 14;

// Natural logarithms of positive normal numbers.
static inline void far_log(const double* x, double* out) {
    constexpr double ln2 = 0x1.62e42fefa39efp-1, root_half = 0x1.6a09e667f3bcdp-1;
    for (std::size_t k = 0; k < far_lanes; ++k) {
        const std::uint64_t bits = bits_as<std::uint64_t>(x[k]);
        const double half = bits_as<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FE0000000000000u);  // in [1/2, 1)
        const bool small = half < root_half;
        const double m = small ? 2.0 * half : half;
        const std::int32_t e = static_cast<std::int32_t>(bits >> 52) - (small ? 1023 : 1022);
        const double s = (m - 1.0) / (m + 1.0);
        const double square = s * s;
        double total = 0.0;
        for (int term = far_terms; term >= 0; --term) total = total * square + 1.0 / (2 * term + 1);
        out[k] = 2.0 * s * total + e * ln2;
    }
}

// Mills' ratio Q(x) / phi(x) as a continued fraction.
static inline void far_mills(const double* x, double* out) {
    double level[far_lanes];
    for (std::size_t k = 0; k < far_lanes; ++k) level[k] = x[k];
    for (int j = far_levels; j > 0; --j)
        for (std::size_t k = 0; k < far_lanes; ++k) level[k] = x[k] + j / level[k];
    for (std::size_t k = 0; k < far_lanes; ++k) out[k] = 1.0 / level[k];
}

// far_normal of far.py for words that count down already: (~word) of there is `down` here.
static inline void far_normals(const Far& far, const std::uint64_t* down, double* out) {
    const double near = far.near;
    double share[far_lanes], target[far_lanes], d[far_lanes], mills[far_lanes], at[far_lanes], log[far_lanes];
    for (std::size_t k = 0; k < far_lanes; ++k) {
        const double drawn = far.ratio + far.complement * ((static_cast<double>(down[k]) + 0.5) * 0x1p-64);
        share[k] = drawn < 1.0 ? drawn : 1.0;
    }
    far_log(share, target);
    for (std::size_t k = 0; k < far_lanes; ++k) {
        target[k] = -target[k];
        at[k] = near;
    }
    far_mills(at, mills);
    const double mills_near = mills[0];
    for (std::size_t k = 0; k < far_lanes; ++k) {
        const double scaled = target[k] / near / near;
        d[k] = 2.0 * target[k] / (near + near * std::sqrt(1.0 + 2.0 * scaled));
    }
    for (int step = 0; step < far_steps; ++step) {
        for (std::size_t k = 0; k < far_lanes; ++k) at[k] = near + d[k];
        far_mills(at, mills);
        for (std::size_t k = 0; k < far_lanes; ++k) share[k] = mills[k] / mills_near;
        far_log(share, log);
        for (std::size_t k = 0; k < far_lanes; ++k)
            d[k] = d[k] - mills[k] * ((near * d[k] + 0.5 * (d[k] * d[k])) - log[k] - target[k]);
    }
    for (std::size_t k = 0; k < far_lanes; ++k) out[k] = near + (d[k] > 0.0 ? d[k] : 0.0);
}

// Float64 bases from two words each.
static inline void far_bases(const Far& far, const std::uint32_t* first, const std::uint32_t* second,
                             std::size_t count, double* out) {
    std::uint64_t down[far_lanes];
    double base[far_lanes];
    for (std::size_t done = 0; done < count; done += far_lanes) {
        const std::size_t now = count - done < far_lanes ? count - done : far_lanes;
        for (std::size_t k = 0; k < far_lanes; ++k) {
            const std::size_t from = done + (k < now ? k : 0);
            const std::uint64_t word = (static_cast<std::uint64_t>(first[from]) << 32) | second[from];
            down[k] = far.mirrored ? word : ~word;
        }
        far_normals(far, down, base);
        for (std::size_t k = 0; k < now; ++k) out[done + k] = far.mirrored ? -base[k] : base[k];
    }
}

}  // namespace fanin
