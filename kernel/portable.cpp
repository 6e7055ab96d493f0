// The path every processor has: plain C++ in a form that compilers vectorise.
#include "fanin/keys.hpp"
#include "fanin/lanes.hpp"

namespace fanin {
namespace {

bool supported() { return true; }

void words(const Key& key, std::uint64_t begin, std::size_t count, std::uint32_t* out) {
    std::size_t done = static_cast<std::size_t>(-begin & 3);
    done = done < count ? done : count;
    philox_words(key, begin, done, out);
    for (; done + lane_count <= count; done += lane_count) philox_lanes(key, (begin + done) >> 2, out + done);
    philox_words(key, begin + done, count - done, out + done);
}

void normals(const std::uint32_t* word, std::size_t count, float* out) {
    std::size_t done = 0;
    for (; done + lane_count <= count; done += lane_count) normal32_lanes(word + done, out + done);
    for (; done < count; ++done) out[done] = normal32(word[done]);
}

}  // namespace

extern const Path portable_path;
const Path portable_path = {"portable", supported, words, normals, portable_narrow, nullptr, wide_bases, cast_elements,
                            keys_one_by_one};

}  // namespace fanin
