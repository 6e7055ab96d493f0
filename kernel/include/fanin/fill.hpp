// The kernel's interface: fill memory with a part of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "fanin/philox.hpp"

namespace fanin {

// Numbers are shared with fanin.sampling.recipe.Kind and the order of fanin.sampling.cast.DTYPES.
enum class Kind : int { uniform = 0, normal = 1, truncated = 2 };
enum class Dtype : int { float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2 };
constexpr int dtype_count = 6;

std::size_t item_size(Dtype dtype);

// A truncated normal whose bounds lie in one far tail: `near` sigma is the nearer one's size (0 for any other
// draw), `ratio` the farther one's tail mass in units of the nearer's, `complement` what it lacks of one.
struct Far {
    double near, ratio, complement;
    bool mirrored;
};

// An element is base * scale + shift. Truncated: base clamped to [low, high] first; uniform with a
// shift: the result clamped. `wide` takes two words an element and computes base in float64.
struct Recipe {
    Kind kind;
    bool wide;
    double scale, shift, low, high;
    std::uint64_t start, width;
    Far far;
};

// Four lines of memory: item r of line k is word k of the block `block + r * apart` (modulo 2^62). Null lines are not
// wanted; others are aligned to items.
struct Lines {
    std::uint64_t block, apart;
    std::size_t length;
    void* at[4];
};

// One instruction-set path. All paths write the same bits.
struct Path {
    const char* name;
    bool (*supported)();
    void (*words)(const Key&, std::uint64_t begin, std::size_t count, std::uint32_t* out);
    // Standard normals of given words, for tests that try all of them.
    void (*normals)(const std::uint32_t* words, std::size_t count, float* out);
    // Elements of a recipe that is not wide, as float32, float16 or bfloat16; `large` where the caller's
    // memory is more than caches hold.
    void (*narrow)(const Recipe&, const Key&, std::uint64_t begin, std::size_t count, Dtype dtype, bool large,
                   void* out);
    // Lines of such elements, `apart` of at least 1; null where a path has no way of its own to draw them.
    void (*lines)(const Recipe&, const Key&, const Lines&, Dtype dtype, bool large);
    // Float64 bases (before scale and shift) of a wide recipe, from the two words of each element.
    void (*wide)(const Recipe&, const std::uint32_t* first, const std::uint32_t* second, std::size_t count,
                 double* out);
    // Rounding to one of the small formats.
    void (*cast)(const float* in, std::size_t count, Dtype dtype, void* out);
    // The keys of names of one part, with the role of weights.
    void (*keys)(std::uint64_t seed, const std::string_view* names, std::size_t count, Key* out);
};

// Paths that this build has and this processor runs, best first; null after the last.
const Path* const* available_paths();

// A dimension of the part that is filled: neighbours are `step` elements of the stream (modulo 2^64)
// and `stride` bytes of memory apart.
struct Dimension {
    std::size_t extent;
    std::uint64_t step;
    std::ptrdiff_t stride;
};

// Asked by the calling thread now and then; true ends the work early.
using Stop = std::function<bool()>;

// Write the elements `begin + sum of index * step` to `out + sum of index * stride`, whatever the
// alignment; dimensions are in logical order, outermost first. Threads share the work and change no
// value. Returns false if stopped; what was written until then is right.
bool fill_region(const Path& path, void* out, Dtype dtype, std::uint64_t begin, const std::vector<Dimension>& shape,
                 const Key& key, const Recipe& recipe, unsigned threads, const Stop& stop = {});

// The elements [begin, begin + count) in one run of memory.
bool fill(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
          const Recipe& recipe, unsigned threads, const Stop& stop = {});

// One whole tensor of many: its name, or the key of its stream where that is known; its elements; and its
// dimensions as in fill_region, or none where it is one aligned run of memory.
struct Task {
    std::string_view name;
    const Key* key;
    void* out;
    std::size_t count;
    Dtype dtype;
    const Recipe* recipe;
    const std::vector<Dimension>* shape;
};

// Fill tensors that have streams of their own, hashing their names; returns false if stopped.
bool fill_tasks(const Path& path, const std::vector<Task>& tasks, std::uint64_t seed, unsigned threads,
                const Stop& stop = {});

}  // namespace fanin
