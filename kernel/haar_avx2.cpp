// Haar steps in 256-bit vectors, with the fused multiply-add that came with them.
#include <immintrin.h>

#include "fanin/reflect.hpp"

namespace fanin {
namespace {

struct Floats {
    using Number = float;
    using Register = __m256;
    static constexpr std::size_t lanes = 8, rows = 6;
    static Register zero() { return _mm256_setzero_ps(); }
    static Register one(const float* from) { return _mm256_broadcast_ss(from); }
    static Register load(const float* from) { return _mm256_loadu_ps(from); }
    static void store(float* to, Register value) { _mm256_storeu_ps(to, value); }
    static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
    static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
    static void prefetch(const float* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); }
};

struct Doubles {
    using Number = double;
    using Register = __m256d;
    static constexpr std::size_t lanes = 4, rows = 6;
    static Register zero() { return _mm256_setzero_pd(); }
    static Register one(const double* from) { return _mm256_broadcast_sd(from); }
    static Register load(const double* from) { return _mm256_loadu_pd(from); }
    static void store(double* to, Register value) { _mm256_storeu_pd(to, value); }
    static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_pd(a, b, c); }
    static Register add(Register a, Register b) { return _mm256_add_pd(a, b); }
    static void prefetch(const double* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); }
};

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const HaarPath haar_avx2;
const HaarPath haar_avx2 = {
    "avx2", supported, reflect<Floats>, reflect<Doubles>, multiply_by<Floats>, multiply_by<Doubles>};

}  // namespace fanin
