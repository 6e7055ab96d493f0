// Haar steps for any processor. std::fma is one rounding everywhere, by instruction or by library.
#include "fanin/reflect.hpp"

namespace fanin {
namespace {

template <class T>
struct Plain {
    using Number = T;
    static constexpr std::size_t lanes = 16 / sizeof(T), rows = 4;
    struct Register {
        T lane[lanes];
    };
    static Register zero() { return {}; }
    static Register one(const T* from) {
        Register made;
        for (T& lane : made.lane) lane = *from;
        return made;
    }
    static Register load(const T* from) {
        Register made;
        std::memcpy(&made, from, sizeof made);
        return made;
    }
    static void store(T* to, Register value) { std::memcpy(to, &value, sizeof value); }
    static Register fma(Register a, Register b, Register c) {
        for (std::size_t k = 0; k < lanes; ++k) c.lane[k] = std::fma(a.lane[k], b.lane[k], c.lane[k]);
        return c;
    }
    static Register add(Register a, Register b) {
        for (std::size_t k = 0; k < lanes; ++k) a.lane[k] += b.lane[k];
        return a;
    }
    static void prefetch(const T*) {}
};

bool supported() { return true; }

}  // namespace

extern const HaarPath haar_portable;
const HaarPath haar_portable = {"portable",           supported,
                                reflect<Plain<float>>, reflect<Plain<double>>,
                                multiply_by<Plain<float>>, multiply_by<Plain<double>>};

}  // namespace fanin
