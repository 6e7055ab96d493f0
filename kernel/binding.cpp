// fanin._kernel: converts arguments, releases the GIL, nothing else.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fanin/fill.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Bytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using KeyWords = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;
using Numbers = std::tuple<double, double, double, double>;

const fanin::Path& path_named(const std::string& name) {
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path)
        if (name == "auto" || name == (*path)->name) return **path;
    throw std::invalid_argument("no such kernel path here: " + name);
}

fanin::Key key_of(const KeyWords& words) {
    return {std::get<0>(words), std::get<1>(words), std::get<2>(words), std::get<3>(words)};
}

// What both fills take, checked.
struct Job {
    fanin::Dtype format;
    std::size_t items;
    fanin::Key key;
    fanin::Recipe recipe;
};

Job job_of(const Bytes& out, int dtype, const KeyWords& key, int kind, bool wide, const Numbers& numbers,
           std::uint64_t start, std::uint64_t width) {
    if (dtype < 0 || dtype >= fanin::dtype_count || kind < 0 || kind > 2)
        throw std::invalid_argument("unknown dtype or kind");
    const auto format = static_cast<fanin::Dtype>(dtype);
    const std::size_t size = fanin::item_size(format);
    if (out.size() % size != 0 || reinterpret_cast<std::uintptr_t>(out.data()) % size != 0)
        throw std::invalid_argument("output is not aligned or not a whole number of items");
    if (format == fanin::Dtype::float64 && !wide) throw std::invalid_argument("float64 needs two words");
    const fanin::Recipe recipe = {static_cast<fanin::Kind>(kind), wide,
                                  std::get<0>(numbers),           std::get<1>(numbers),
                                  std::get<2>(numbers),           std::get<3>(numbers),
                                  start,                          width};
    return {format, out.size() / size, key_of(key), recipe};
}

void fill(Bytes out, int dtype, std::uint64_t begin, KeyWords key, int kind, bool wide, Numbers numbers,
          std::uint64_t start, std::uint64_t width, unsigned threads, const std::string& path) {
    const Job job = job_of(out, dtype, key, kind, wide, numbers, start, width);
    const fanin::Path& chosen = path_named(path);
    const nb::gil_scoped_release unlocked;
    fanin::fill(chosen, out.data(), job.format, begin, job.items, job.key, job.recipe, threads);
}

void fill_turned(Bytes out, int dtype, std::uint64_t begin, KeyWords key, int kind, bool wide, Numbers numbers,
                 std::uint64_t start, std::uint64_t width, unsigned threads, const std::string& path,
                 std::size_t origin, std::size_t rows, std::vector<std::size_t> shape,
                 std::vector<std::size_t> strides) {
    const Job job = job_of(out, dtype, key, kind, wide, numbers, start, width);
    if (rows == 0 || shape.size() != strides.size() || shape.size() > 16)
        throw std::invalid_argument("a turned tensor has rows and one stride a dimension, 16 at most");
    std::size_t last = origin + rows - 1;
    for (std::size_t k = 0; k < shape.size(); ++k) {
        if (shape[k] == 0) throw std::invalid_argument("a turned tensor has elements");
        last += (shape[k] - 1) * strides[k];
    }
    if (last >= job.items) throw std::invalid_argument("a turned tensor leaves its memory");
    const fanin::Path& chosen = path_named(path);
    const fanin::Turn turn = {rows, std::move(shape), std::move(strides)};
    const nb::gil_scoped_release unlocked;
    fanin::fill_turned(chosen, out.data() + origin * fanin::item_size(job.format), job.format, begin, turn, job.key,
                       job.recipe, threads);
}

void words(Bytes out, std::uint64_t begin, KeyWords key, const std::string& path) {
    if (out.size() % 4 != 0 || reinterpret_cast<std::uintptr_t>(out.data()) % 4 != 0)
        throw std::invalid_argument("output is not aligned or not a whole number of words");
    const fanin::Path& chosen = path_named(path);
    const nb::gil_scoped_release unlocked;
    chosen.words(key_of(key), begin, out.size() / 4, reinterpret_cast<std::uint32_t*>(out.data()));
}

using ConstBytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void normals(ConstBytes word, Bytes out, const std::string& path) {
    if (out.size() % 4 != 0 || word.size() != out.size() ||
        (reinterpret_cast<std::uintptr_t>(out.data()) | reinterpret_cast<std::uintptr_t>(word.data())) % 4 != 0)
        throw std::invalid_argument("words and output are not aligned or differ in size");
    const fanin::Path& chosen = path_named(path);
    const nb::gil_scoped_release unlocked;
    chosen.normals(reinterpret_cast<const std::uint32_t*>(word.data()), out.size() / 4,
                   reinterpret_cast<float*>(out.data()));
}

std::vector<std::string> paths() {
    std::vector<std::string> names;
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path)
        names.emplace_back((*path)->name);
    return names;
}

}  // namespace

NB_MODULE(_kernel, module) {
    // noconvert: nanobind would otherwise fill a converted copy in silence.
    module.def("fill", &fill, "out"_a.noconvert(), "dtype"_a, "begin"_a, "key"_a, "kind"_a, "wide"_a,
               "numbers"_a, "start"_a, "width"_a, "threads"_a, "path"_a);
    module.def("fill_turned", &fill_turned, "out"_a.noconvert(), "dtype"_a, "begin"_a, "key"_a, "kind"_a,
               "wide"_a, "numbers"_a, "start"_a, "width"_a, "threads"_a, "path"_a, "origin"_a, "rows"_a,
               "shape"_a, "strides"_a);
    module.def("words", &words, "out"_a.noconvert(), "begin"_a, "key"_a, "path"_a);
    module.def("normals", &normals, "words"_a.noconvert(), "out"_a.noconvert(), "path"_a);
    module.def("paths", &paths);
}
