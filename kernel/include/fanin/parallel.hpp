// Share numbered pieces of work between short-lived threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

namespace fanin {

// Run work(0) .. work(pieces - 1), `at_once` pieces a turn, on up to `threads` threads, the caller's among
// them. No thread outlives the call, so there is nothing that a fork could leave behind. The caller asks
// `stop` between turns; once it says true nothing further is begun, and false is returned.
template <class Work>
bool in_parallel(unsigned threads, std::size_t pieces, std::size_t at_once, const std::function<bool()>& stop,
                 const Work& work) {
    std::atomic<std::size_t> next{0};
    std::atomic<bool> halted{false};
    const auto turns = [&](bool caller) {
        for (;;) {
            if (halted.load(std::memory_order_relaxed)) return;
            const std::size_t first = next.fetch_add(at_once, std::memory_order_relaxed);
            if (first >= pieces) return;
            for (std::size_t piece = first; piece < std::min(pieces, first + at_once); ++piece) work(piece);
            if (caller && stop && first + at_once < pieces && stop()) halted = true;
        }
    };
    const std::size_t most = (pieces - 1) / at_once + 1;
    const std::size_t workers = std::max<std::size_t>(1, std::min<std::size_t>(threads, most));
    std::vector<std::thread> started;
    started.reserve(workers);
    try {
        while (started.size() + 1 < workers) started.emplace_back(turns, false);
    } catch (const std::system_error&) {
        // The system gives no more threads: those that run do all the work.
    }
    turns(true);
    for (std::thread& thread : started) thread.join();
    return !halted;
}

}  // namespace fanin
