// One step of a Haar matrix: multiply what is there by a block of Householder reflections; and products of
// matrices as such (SPEC.md, section 7).
#pragma once

#include <cstddef>
#include <functional>

namespace fanin {

// Reflections in a block. It decides where sums end and is a part of the definition of the bits.
constexpr std::size_t block_rows = 192;

template <class T>
struct HaarStep {
    // (rows, columns) with rows `step` numbers apart; the block [count:, count:] holds the matrix so far.
    T* out;
    std::size_t rows, columns;
    std::ptrdiff_t step;
    // (count, columns) standard normals, one run of memory, used up. count == block_rows unless it is rows.
    T* normals;
    std::size_t count;
};

// to (rows x columns) = left (rows x depth) times right (depth x columns), rows `..._step` numbers apart.
template <class T>
struct Product {
    const T *left, *right;
    T* to;
    std::size_t rows, depth, columns;
    std::ptrdiff_t left_step, right_step, to_step;
};

// Does work(data, 0) .. work(data, pieces - 1), `at_once` a turn; false when it was told to stop. Behind a
// pointer, so that no code of the standard library is compiled for newer processors than the one it runs on.
struct Crew {
    bool (*share)(const void* self, std::size_t pieces, std::size_t at_once, void (*work)(const void*, std::size_t),
                  const void* data);
    const void* self;
};

struct HaarPath {
    const char* name;
    bool (*supported)();
    bool (*step32)(const HaarStep<float>& step, const Crew& crew);
    bool (*step64)(const HaarStep<double>& step, const Crew& crew);
    bool (*product32)(const Product<float>& product, const Crew& crew);
    bool (*product64)(const Product<double>& product, const Crew& crew);
};

// The paths that work on this processor, best first, ending with a null pointer.
const HaarPath* const* haar_paths();

// `count` matrices, steps[k] each with its own memory; many small ones are shared among the threads whole.
// False when `stop` said so; the outputs are then undefined.
bool haar_steps(const HaarPath& path, const HaarStep<float>* steps, std::size_t count, unsigned threads,
                const std::function<bool()>& stop);
bool haar_steps(const HaarPath& path, const HaarStep<double>* steps, std::size_t count, unsigned threads,
                const std::function<bool()>& stop);
bool multiply(const HaarPath& path, const Product<float>& product, unsigned threads, const std::function<bool()>& stop);
bool multiply(const HaarPath& path, const Product<double>& product, unsigned threads, const std::function<bool()>& stop);

}  // namespace fanin
