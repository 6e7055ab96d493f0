// The path every processor has: plain C++.
#include "fanin/element.hpp"

namespace fanin {
namespace {

bool supported() { return true; }

}  // namespace

extern const Path portable_path;
const Path portable_path = {"portable", supported, philox_words, narrow_elements, cast_elements};

}  // namespace fanin
