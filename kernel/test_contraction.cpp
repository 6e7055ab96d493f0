// The same words must give the same normals whether or not the compiler fuses multiplications and
// additions. This file is compiled twice, with contraction off and (FANIN_FUSED) on.
#include <cstdint>
#include <cstdio>

#include "fanin/transform.hpp"

#ifdef FANIN_FUSED
#define VARIANT fused
#else
#define VARIANT separate
#endif

namespace fanin {

// What the table's polynomial would be without the guard: shows that this test can fail.
static inline float unguarded(std::uint32_t word) {
    const std::uint32_t bits = bits_as<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>((word >> 1) | 1u)));
    const std::uint32_t octave = (bits >> 23) - 127;
    const float r = bits_as<float>((bits & 0x007FFFFFu) | 0x3F800000u) - 1.5f;
    float t = narrow_table[narrow_degree][octave];
    for (int j = narrow_degree - 1; j >= 0; --j) t = narrow_table[j][octave] + t * r;
    return t;
}

namespace VARIANT {

// Every 97th word: 44 million.
void digests(std::uint64_t out[3]) {
    std::uint64_t word = 0;
    out[0] = out[1] = out[2] = 0xCBF29CE484222325u;
    const auto add = [](std::uint64_t& state, std::uint64_t bits) { state = (state ^ bits) * 0x100000001B3u; };
    for (; word < (std::uint64_t{1} << 32); word += 97) {
        const std::uint32_t low = static_cast<std::uint32_t>(word);
        add(out[0], bits_as<std::uint32_t>(normal32(low)));
        add(out[1], bits_as<std::uint64_t>(normal64(word << 32 | low)));
        add(out[2], bits_as<std::uint32_t>(unguarded(low)));
    }
}

}  // namespace VARIANT
}  // namespace fanin

#ifndef FANIN_FUSED
namespace fanin::fused {
void digests(std::uint64_t out[3]);
}

int main() {
    std::uint64_t separate[3], fused[3];
    fanin::separate::digests(separate);
    fanin::fused::digests(fused);
    const bool same = separate[0] == fused[0] && separate[1] == fused[1];
    const bool fuses = separate[2] != fused[2];
    std::printf("guarded normals %s; unguarded ones %s\n", same ? "agree" : "DIFFER",
                fuses ? "differ, as they should" : "AGREE: this compiler fused nothing");
    return same && fuses ? 0 : 1;
}
#endif
