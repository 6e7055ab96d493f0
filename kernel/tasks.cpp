// Many tensors at once, as Python hands them over.
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <utility>

#include "fanin/keys.hpp"
#include "fanin/python.hpp"

namespace {

// An item that its list goes on owning.
nb::handle item_of(nb::handle list, std::size_t place) {
    return PyList_GetItem(list.ptr(), static_cast<Py_ssize_t>(place));
}

// Whether elements of an array share memory; enough for what slicing makes.
bool folded(const Py_buffer& view) {
    std::vector<std::pair<Py_ssize_t, Py_ssize_t>> steps;
    for (int k = 0; k < view.ndim; ++k) {
        if (view.shape[k] == 0) return false;
        if (view.shape[k] > 1) steps.emplace_back(std::abs(view.strides[k]), view.shape[k]);
    }
    std::sort(steps.begin(), steps.end());
    Py_ssize_t reach = view.itemsize;
    for (const auto& [step, extent] : steps) {
        if (step < reach) return true;
        reach += step * (extent - 1);
    }
    return false;
}

// A list of the same items, which nobody else changes; anything else as it is.
nb::object copied(nb::handle items) {
    return PyList_Check(items.ptr()) ? nb::steal(PyList_GetSlice(items.ptr(), 0, PY_SSIZE_T_MAX)) : nb::borrow(items);
}

bool aligned(const void* memory, std::size_t size) { return reinterpret_cast<std::uintptr_t>(memory) % size == 0; }

// Tensors that are filled in one go, each from the stream of its own name; whatever does not fit is refused
// when this is made, before anything is written.
class Tasks {
  public:
    // Whole arrays, their dimensions in logical order. (An error after the first constructor runs the destructor,
    // which gives back what is held.)
    Tasks(nb::list outs, const nb::list& names, nb::handle recipes, std::uint64_t seed) : Tasks(names, recipes, seed) {
        set_arrays(outs);
    }

    // Memory by its address: the caller vouches for it, and holds it.
    Tasks(nb::list addresses, nb::list counts, const nb::list& names, nb::handle recipes, std::uint64_t seed)
        : Tasks(names, recipes, seed) {
        set_memory(addresses, counts);
    }

    Tasks(const Tasks&) = delete;
    Tasks& operator=(const Tasks&) = delete;

    void fill(unsigned threads, const std::string& path) const {
        const fanin::Path& chosen = path_named(path);
        if (tasks_.empty()) return;
        bool finished;
        {
            const nb::gil_scoped_release unlocked;
            finished = fanin::fill_tasks(chosen, tasks_, seed_, threads, Signals());
        }
        if (!finished) throw nb::python_error();
    }

  private:
    // Names are texts or tuples of them, recipes one each or one for all.
    Tasks(const nb::list& names, nb::handle recipes, std::uint64_t seed)
        : tasks_(names.size()), seed_(seed), names_(copied(names)), recipes_(copied(recipes)) {
        const bool one = nb::isinstance<Recipe>(recipes);
        if (!one && (!nb::isinstance<nb::list>(recipes) || nb::len(recipes) != tasks_.size()))
            throw std::invalid_argument("there is one recipe a name, or one for all");
        const Recipe* recipe = one ? nb::cast<const Recipe*>(recipes) : nullptr;
        nb::handle last;
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            if (!one) {
                const nb::handle next = item_of(recipes_, i);
                if (!next.is(last)) recipe = nb::cast<const Recipe*>(next);
                last = next;
            }
            tasks_[i].dtype = recipe->dtype;
            tasks_[i].recipe = &recipe->numbers;
            set_name(tasks_[i], item_of(names_, i));
        }
    }

    void set_arrays(nb::list outs) {
        check_count(outs.size());
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            memory_.emplace_back(item_of(outs, i));
            const Py_buffer& view = *memory_.back();
            fanin::Task& task = tasks_[i];
            const std::size_t size = fanin::item_size(task.dtype);
            if (view.itemsize != static_cast<Py_ssize_t>(size)) throw std::invalid_argument("items have another size");
            task.out = view.buf;
            task.count = static_cast<std::size_t>(view.len / view.itemsize);
            if (aligned(view.buf, size) && PyBuffer_IsContiguous(&view, 'C')) continue;
            if (folded(view)) throw std::invalid_argument("elements share memory");
            task.shape = &shapes_.emplace_back(row_major(view));
        }
        check_apart();
    }

    void set_memory(nb::list addresses, nb::list counts) {
        check_count(addresses.size());
        check_count(counts.size());
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            tasks_[i].out = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(item_of(addresses, i)));
            tasks_[i].count = nb::cast<std::size_t>(item_of(counts, i));
            if (!aligned(tasks_[i].out, fanin::item_size(tasks_[i].dtype)))
                throw std::invalid_argument("memory is misaligned");
        }
        check_apart();
    }

    void set_name(fanin::Task& task, nb::handle name) {
        if (PyUnicode_CheckExact(name.ptr())) {
            task.name = utf8(name);
            if (task.name.empty()) throw std::invalid_argument("a name is empty");
            return;
        }
        if (!PyTuple_CheckExact(name.ptr()) || nb::len(name) == 0) throw std::invalid_argument("a name is no text");
        std::vector<std::string_view> parts;
        for (const nb::handle part : nb::borrow<nb::tuple>(name)) {
            if (!PyUnicode_CheckExact(part.ptr())) throw std::invalid_argument("a name is no text");
            parts.push_back(utf8(part));
            if (parts.back().empty()) throw std::invalid_argument("a name is empty");
        }
        task.key = &keys_.emplace_back(fanin::stream_key(seed_, parts.data(), parts.size(), "weight"));
    }

    void check_count(std::size_t count) const {
        if (count != tasks_.size()) throw std::invalid_argument("there is one name a tensor");
    }

    // Runs of memory that others share would get whichever stream was written last.
    void check_apart() const {
        std::vector<std::pair<std::uintptr_t, std::uintptr_t>> bounds;
        bounds.reserve(tasks_.size());
        for (const fanin::Task& task : tasks_) {
            if (task.count == 0 || task.shape != nullptr) continue;
            const auto begin = reinterpret_cast<std::uintptr_t>(task.out);
            bounds.emplace_back(begin, begin + task.count * fanin::item_size(task.dtype));
        }
        std::sort(bounds.begin(), bounds.end());
        for (std::size_t i = 1; i < bounds.size(); ++i)
            if (bounds[i - 1].second > bounds[i].first) throw std::invalid_argument("tensors share memory");
    }

    std::vector<fanin::Task> tasks_;
    std::uint64_t seed_;
    std::deque<Memory> memory_;
    // In deques, since tasks point into them.
    std::deque<std::vector<fanin::Dimension>> shapes_;
    std::deque<fanin::Key> keys_;
    // What texts and recipes belong to.
    nb::object names_, recipes_;
};

// Many arrays, ready to be filled.
void make_tasks(Tasks* made, nb::list outs, nb::handle recipes, nb::list names, std::uint64_t seed) {
    new (made) Tasks(outs, names, recipes, seed);
}

void fill_memory(nb::list addresses, nb::list counts, nb::handle recipes, nb::list names, std::uint64_t seed,
                 unsigned threads, const std::string& path) {
    Tasks(addresses, counts, names, recipes, seed).fill(threads, path);
}

}  // namespace

void add_tasks(nb::module_& module) {
    nb::class_<Tasks>(module, "Tasks")
        .def("__init__", &make_tasks, "outs"_a, "recipes"_a, "names"_a, "seed"_a)
        .def("fill", &Tasks::fill, "threads"_a, "path"_a);
    module.def("fill_memory", &fill_memory, "addresses"_a, "counts"_a, "recipes"_a, "names"_a, "seed"_a, "threads"_a,
               "path"_a);
}
