// What the files that bind the kernel to Python share.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fanin/fill.hpp"

namespace nb = nanobind;
using namespace nb::literals;

inline const fanin::Path& path_named(std::string_view name) {
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path)
        if (name == "auto" || name == (*path)->name) return **path;
    throw std::invalid_argument("no such kernel path here: " + std::string(name));
}

// fanin.sampling.recipe.Recipe for one dtype.
struct Recipe {
    fanin::Dtype dtype;
    fanin::Recipe numbers;
};

// A writable array's memory, held while it is filled.
class Memory {
  public:
    explicit Memory(nb::handle array) {
        if (PyObject_GetBuffer(array.ptr(), &view_, PyBUF_WRITABLE | PyBUF_STRIDED) != 0) throw nb::python_error();
    }
    ~Memory() { PyBuffer_Release(&view_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    const Py_buffer& operator*() const { return view_; }

  private:
    Py_buffer view_;
};

// Ask Python for signals such as Ctrl-C, but not so often that it costs anything.
class Signals {
  public:
    bool operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - asked_ < std::chrono::milliseconds(20)) return false;
        asked_ = now;
        const nb::gil_scoped_acquire locked;
        return PyErr_CheckSignals() != 0;
    }

  private:
    std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
};

// Dimensions whose elements count row-major.
inline std::vector<fanin::Dimension> row_major(const Py_buffer& view) {
    std::vector<fanin::Dimension> shape(static_cast<std::size_t>(view.ndim));
    std::uint64_t inner = 1;
    for (std::size_t k = shape.size(); k-- > 0;) {
        shape[k] = {static_cast<std::size_t>(view.shape[k]), inner, view.strides[k]};
        inner *= shape[k].extent;
    }
    return shape;
}

inline std::string_view utf8(nb::handle text) {
    Py_ssize_t size = 0;
    const char* const bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (bytes == nullptr) throw nb::python_error();
    return {bytes, static_cast<std::size_t>(size)};
}

// Many tensors at once, in tasks.cpp.
void add_tasks(nb::module_& module);
