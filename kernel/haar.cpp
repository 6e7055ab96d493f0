// Which ways of making Haar matrices there are, and how threads share them.
#include "fanin/haar.hpp"

#include "fanin/parallel.hpp"

namespace fanin {

extern const HaarPath haar_portable;
#ifdef FANIN_X86
extern const HaarPath haar_avx2;
extern const HaarPath haar_avx512;
#endif
#ifdef FANIN_NEON
extern const HaarPath haar_neon;
#endif

const HaarPath* const* haar_paths() {
    static const HaarPath* found[4] = {};
    static const bool filled = [] {
        const HaarPath* const built[] = {
#ifdef FANIN_X86
            &haar_avx512,
            &haar_avx2,
#endif
#ifdef FANIN_NEON
            &haar_neon,
#endif
            &haar_portable,
        };
        std::size_t n = 0;
        for (const HaarPath* path : built)
            if (path->supported()) found[n++] = path;
        return true;
    }();
    static_cast<void>(filled);
    return found;
}

namespace {

struct Threads {
    unsigned count;
    const std::function<bool()>& stop;
};

bool share(const void* self, std::size_t pieces, std::size_t at_once, void (*work)(const void*, std::size_t),
           const void* data) {
    const Threads& threads = *static_cast<const Threads*>(self);
    return in_parallel(threads.count, pieces, at_once, threads.stop, [=](std::size_t piece) { work(data, piece); });
}

bool run(const HaarPath& path, const HaarStep<float>& step, const Crew& crew) { return path.step32(step, crew); }
bool run(const HaarPath& path, const HaarStep<double>& step, const Crew& crew) { return path.step64(step, crew); }

template <class T>
bool all(const HaarPath& path, const HaarStep<T>* steps, std::size_t count, unsigned threads,
         const std::function<bool()>& stop) {
    if (count == 0) return true;
    if (count == 1) {
        const Threads workers = {threads, stop};
        return run(path, *steps, Crew{share, &workers});
    }
    // The others' signals are asked for between matrices.
    const std::function<bool()> never;
    const Threads alone = {1, never};
    return in_parallel(threads, count, 1, stop,
                       [&](std::size_t k) { static_cast<void>(run(path, steps[k], Crew{share, &alone})); });
}

}  // namespace

bool haar_steps(const HaarPath& path, const HaarStep<float>* steps, std::size_t count, unsigned threads,
                const std::function<bool()>& stop) {
    return all(path, steps, count, threads, stop);
}

bool haar_steps(const HaarPath& path, const HaarStep<double>* steps, std::size_t count, unsigned threads,
                const std::function<bool()>& stop) {
    return all(path, steps, count, threads, stop);
}

bool multiply(const HaarPath& path, const Product<float>& product, unsigned threads, const std::function<bool()>& stop) {
    const Threads workers = {threads, stop};
    return path.product32(product, Crew{share, &workers});
}

bool multiply(const HaarPath& path, const Product<double>& product, unsigned threads, const std::function<bool()>& stop) {
    const Threads workers = {threads, stop};
    return path.product64(product, Crew{share, &workers});
}

}  // namespace fanin
