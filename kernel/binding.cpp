// fanin._kernel: converts arguments, releases the GIL, nothing else.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fanin/fill.hpp"
#include "fanin/haar.hpp"
#include "fanin/keys.hpp"
#include "fanin/python.hpp"
#include "fanin/runs.hpp"

namespace {

using Bytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using KeyWords = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;

fanin::Key key_of(const KeyWords& words) {
    return {std::get<0>(words), std::get<1>(words), std::get<2>(words), std::get<3>(words)};
}

void make_recipe(Recipe* made, int dtype, int kind, bool wide, double scale, double shift, double low, double high,
                 std::uint64_t start, std::uint64_t width, double near, double ratio, double complement, bool mirrored) {
    if (dtype < 0 || dtype >= fanin::dtype_count || kind < 0 || kind > 2)
        throw std::invalid_argument("unknown dtype or kind");
    const auto format = static_cast<fanin::Dtype>(dtype);
    if ((format == fanin::Dtype::float64 || near != 0.0) && !wide)
        throw std::invalid_argument("float64 and far tails need two words");
    new (made) Recipe{format,
                      {static_cast<fanin::Kind>(kind), wide, scale, shift, low, high, start, width,
                       {near, ratio, complement, mirrored}}};
}

void check_item(const Py_buffer& view, const Recipe& recipe) {
    if (view.itemsize != static_cast<Py_ssize_t>(fanin::item_size(recipe.dtype)))
        throw std::invalid_argument("the output's items have another size than the dtype's");
}

void run(void* out, const Recipe& recipe, std::uint64_t begin, const std::vector<fanin::Dimension>& shape,
         const fanin::Key& key, unsigned threads, const fanin::Path& path) {
    bool finished;
    {
        const nb::gil_scoped_release unlocked;
        finished = fanin::fill_region(path, out, recipe.dtype, begin, shape, key, recipe.numbers, threads, Signals());
    }
    // The handler of a signal has set the exception.
    if (!finished) throw nb::python_error();
}

// Fill an array of any strides; its neighbours along dimension k are steps[k] elements of the stream
// apart, one after the other in row-major order where there are no steps.
void fill(nb::handle out, const Recipe& recipe, const KeyWords& key, std::uint64_t begin,
          const std::optional<std::vector<std::int64_t>>& steps, unsigned threads, const std::string& path) {
    const Memory memory(out);
    const Py_buffer& view = *memory;
    check_item(view, recipe);
    std::vector<fanin::Dimension> shape = row_major(view);
    if (steps && steps->size() != shape.size()) throw std::invalid_argument("there is one step a dimension");
    for (std::size_t k = 0; steps && k < shape.size(); ++k) shape[k].step = static_cast<std::uint64_t>((*steps)[k]);
    run(view.buf, recipe, begin, shape, key_of(key), threads, path_named(path));
}

// The short way for the commonest case, a whole array of one run of memory and a name of one text: key and
// all. False where it is anything else, or a path is forced, with nothing written.
bool drawn(void* out, std::size_t count, const Recipe& recipe, std::uint64_t seed, nb::handle name, unsigned threads) {
    // os.environ keeps the process's environment up to date.
    const char* const forced = std::getenv("FANIN_KERNEL");
    if ((forced != nullptr && *forced != 0) || !PyUnicode_CheckExact(name.ptr())) return false;
    const std::string_view text = utf8(name);
    if (text.empty()) return false;
    const fanin::Key key = fanin::stream_key(seed, &text, 1, "weight");
    const fanin::Path& path = **fanin::available_paths();
    const std::size_t size = fanin::item_size(recipe.dtype);
    // Too little to be worth a change of hands.
    constexpr std::size_t small = 4096;
    if (count <= small && reinterpret_cast<std::uintptr_t>(out) % size == 0) {
        fanin::fill_run(path, out, recipe.dtype, 0, count, key, recipe.numbers);
    } else {
        run(out, recipe, 0, {{count, 1, static_cast<std::ptrdiff_t>(size)}}, key, threads, path);
    }
    return true;
}

bool draw(nb::handle out, const Recipe& recipe, std::uint64_t seed, nb::handle name, unsigned threads) {
    const Memory memory(out);
    const Py_buffer& view = *memory;
    if (!PyBuffer_IsContiguous(&view, 'C')) return false;
    check_item(view, recipe);
    return drawn(view.buf, static_cast<std::size_t>(view.len / view.itemsize), recipe, seed, name, threads);
}

// The same for memory by its address, which the caller vouches for and holds.
bool draw_memory(std::uintptr_t address, std::size_t count, const Recipe& recipe, std::uint64_t seed, nb::handle name,
                 unsigned threads) {
    return drawn(reinterpret_cast<void*>(address), count, recipe, seed, name, threads);
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

std::size_t extent(const Py_buffer& view, int k) { return static_cast<std::size_t>(view.shape[k]); }

// Numbers from one row, or with k = 0 in a stack from one matrix, to the next.
template <class T>
std::ptrdiff_t apart(const Py_buffer& view, int k) {
    return view.strides[k] / static_cast<std::ptrdiff_t>(sizeof(T));
}

const fanin::HaarPath& haar_path_named(std::string_view name) {
    for (const fanin::HaarPath* const* path = fanin::haar_paths(); *path; ++path)
        if (name == "auto" || name == (*path)->name) return **path;
    throw std::invalid_argument("no such kernel path here: " + std::string(name));
}

// Rows of whole items, each row one run of memory.
bool has_rows(const Py_buffer& view, int depth) {
    return view.ndim == depth && view.strides[depth - 1] == view.itemsize && view.strides[depth - 2] >= 0 &&
           view.strides[depth - 2] % view.itemsize == 0 && view.strides[0] % view.itemsize == 0;
}

// One step for each of a stack of matrices (count, rows, columns), whose normals (count, block, columns) lie
// in one run of memory.
template <class T>
bool haar_stack(const Py_buffer& out, const Py_buffer& normals, unsigned threads, const fanin::HaarPath& path) {
    std::vector<fanin::HaarStep<T>> steps(extent(out, 0));
    for (std::size_t k = 0; k < steps.size(); ++k)
        steps[k] = {static_cast<T*>(out.buf) + static_cast<std::ptrdiff_t>(k) * apart<T>(out, 0),
                    extent(out, 1),
                    extent(out, 2),
                    apart<T>(out, 1),
                    static_cast<T*>(normals.buf) + k * extent(normals, 1) * extent(normals, 2),
                    extent(normals, 1)};
    const nb::gil_scoped_release unlocked;
    return fanin::haar_steps(path, steps.data(), steps.size(), threads, Signals());
}

void haar(nb::handle out, nb::handle normals, unsigned threads, const std::string& path) {
    const Memory to(out), from(normals);
    const Py_buffer &w = *to, &x = *from;
    const bool fits = has_rows(w, 3) && has_rows(x, 3) && w.itemsize == x.itemsize && w.shape[0] == x.shape[0] &&
                      w.shape[2] == x.shape[2] && w.shape[1] <= w.shape[2] && x.shape[1] > 0 &&
                      x.shape[1] == std::min(w.shape[1], static_cast<Py_ssize_t>(fanin::block_rows)) &&
                      x.strides[1] == x.itemsize * x.shape[2] && x.strides[0] == x.strides[1] * x.shape[1];
    if (!fits || (w.itemsize != sizeof(float) && w.itemsize != sizeof(double)))
        throw std::invalid_argument("output and normals do not fit");
    const fanin::HaarPath& chosen = haar_path_named(path);
    const bool finished =
        w.itemsize == sizeof(float) ? haar_stack<float>(w, x, threads, chosen) : haar_stack<double>(w, x, threads, chosen);
    if (!finished) throw nb::python_error();
}

template <class T>
bool product_of(const Py_buffer& out, const Py_buffer& left, const Py_buffer& right, unsigned threads,
                const fanin::HaarPath& path) {
    const fanin::Product<T> product = {
        static_cast<const T*>(left.buf), static_cast<const T*>(right.buf), static_cast<T*>(out.buf), extent(left, 0),
        extent(left, 1), extent(right, 1), apart<T>(left, 0), apart<T>(right, 0), apart<T>(out, 0)};
    const nb::gil_scoped_release unlocked;
    return fanin::multiply(path, product, threads, Signals());
}

void product(nb::handle out, nb::handle left, nb::handle right, unsigned threads, const std::string& path) {
    const Memory to(out), a(left), b(right);
    const bool fits = has_rows(*to, 2) && has_rows(*a, 2) && has_rows(*b, 2) && (*to).itemsize == (*a).itemsize &&
                      (*to).itemsize == (*b).itemsize && (*a).shape[1] == (*b).shape[0] &&
                      (*to).shape[0] == (*a).shape[0] && (*to).shape[1] == (*b).shape[1];
    if (!fits || ((*to).itemsize != sizeof(float) && (*to).itemsize != sizeof(double)))
        throw std::invalid_argument("output and factors do not fit");
    const fanin::HaarPath& chosen = haar_path_named(path);
    const bool finished = (*to).itemsize == sizeof(float) ? product_of<float>(*to, *a, *b, threads, chosen)
                                                          : product_of<double>(*to, *a, *b, threads, chosen);
    if (!finished) throw nb::python_error();
}

std::vector<std::string> paths() {
    std::vector<std::string> names;
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path)
        names.emplace_back((*path)->name);
    return names;
}

}  // namespace

NB_MODULE(_kernel, module) {
    nb::class_<Recipe>(module, "Recipe")
        .def("__init__", &make_recipe, "dtype"_a, "kind"_a, "wide"_a, "scale"_a, "shift"_a, "low"_a, "high"_a,
             "start"_a, "width"_a, "near"_a = 0.0, "ratio"_a = 0.0, "complement"_a = 0.0, "mirrored"_a = false);
    module.def("fill", &fill, "out"_a, "recipe"_a, "key"_a, "begin"_a, "steps"_a.none(), "threads"_a, "path"_a);
    module.def("draw", &draw, "out"_a, "recipe"_a, "seed"_a, "name"_a, "threads"_a);
    module.def("draw_memory", &draw_memory, "address"_a, "count"_a, "recipe"_a, "seed"_a, "name"_a, "threads"_a);
    add_tasks(module);
    // noconvert: nanobind would otherwise fill a converted copy in silence.
    module.def("words", &words, "out"_a.noconvert(), "begin"_a, "key"_a, "path"_a);
    module.def("normals", &normals, "words"_a.noconvert(), "out"_a.noconvert(), "path"_a);
    module.def("haar", &haar, "out"_a, "normals"_a, "threads"_a, "path"_a);
    module.def("product", &product, "out"_a, "left"_a, "right"_a, "threads"_a, "path"_a);
    module.attr("HAAR_BLOCK") = fanin::block_rows;
    module.def("paths", &paths);
}
