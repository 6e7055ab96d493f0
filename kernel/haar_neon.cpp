// Haar steps in the 128-bit vectors of AArch64.
#include <arm_neon.h>

#include "fanin/reflect.hpp"

namespace fanin {
namespace {

struct Floats {
    using Number = float;
    using Register = float32x4_t;
    static constexpr std::size_t lanes = 4, rows = 12;
    static Register zero() { return vdupq_n_f32(0.0f); }
    static Register one(const float* from) { return vld1q_dup_f32(from); }
    static Register load(const float* from) { return vld1q_f32(from); }
    static void store(float* to, Register value) { vst1q_f32(to, value); }
    static Register fma(Register a, Register b, Register c) { return vfmaq_f32(c, a, b); }
    static Register add(Register a, Register b) { return vaddq_f32(a, b); }
    static void prefetch(const float* at) { __builtin_prefetch(at); }
};

struct Doubles {
    using Number = double;
    using Register = float64x2_t;
    static constexpr std::size_t lanes = 2, rows = 12;
    static Register zero() { return vdupq_n_f64(0.0); }
    static Register one(const double* from) { return vld1q_dup_f64(from); }
    static Register load(const double* from) { return vld1q_f64(from); }
    static void store(double* to, Register value) { vst1q_f64(to, value); }
    static Register fma(Register a, Register b, Register c) { return vfmaq_f64(c, a, b); }
    static Register add(Register a, Register b) { return vaddq_f64(a, b); }
    static void prefetch(const double* at) { __builtin_prefetch(at); }
};

bool supported() { return true; }

}  // namespace

extern const HaarPath haar_neon;
const HaarPath haar_neon = {
    "neon", supported, reflect<Floats>, reflect<Doubles>, multiply_by<Floats>, multiply_by<Doubles>};

}  // namespace fanin
