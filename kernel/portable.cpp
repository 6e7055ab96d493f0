// The path every processor has: plain C++.
#include "fanin/element.hpp"

namespace fanin {
namespace {

bool supported() { return true; }

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    for (std::size_t i = 0; i < count; ++i) out[i] = normal32(word[i]);
}

}  // namespace

extern const Path portable_path;
const Path portable_path = {"portable", supported, philox_words, normals, narrow_elements, cast_elements};

}  // namespace fanin
