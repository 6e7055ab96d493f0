// Haar steps in 512-bit vectors.
#include <immintrin.h>

#include "fanin/reflect.hpp"

namespace fanin {
namespace {

struct Floats {
    using Number = float;
    using Register = __m512;
    static constexpr std::size_t lanes = 16, rows = 14;
    static Register zero() { return _mm512_setzero_ps(); }
    static Register one(const float* from) { return _mm512_set1_ps(*from); }
    static Register load(const float* from) { return _mm512_loadu_ps(from); }
    static void store(float* to, Register value) { _mm512_storeu_ps(to, value); }
    static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
    static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
    static void prefetch(const float* at) {
        _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(at + lanes), _MM_HINT_T0);
    }
};

struct Doubles {
    using Number = double;
    using Register = __m512d;
    static constexpr std::size_t lanes = 8, rows = 14;
    static Register zero() { return _mm512_setzero_pd(); }
    static Register one(const double* from) { return _mm512_set1_pd(*from); }
    static Register load(const double* from) { return _mm512_loadu_pd(from); }
    static void store(double* to, Register value) { _mm512_storeu_pd(to, value); }
    static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_pd(a, b, c); }
    static Register add(Register a, Register b) { return _mm512_add_pd(a, b); }
    static void prefetch(const double* at) {
        _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(at + lanes), _MM_HINT_T0);
    }
};

bool supported() { return __builtin_cpu_supports("avx512f"); }

}  // namespace

extern const HaarPath haar_avx512;
const HaarPath haar_avx512 = {
    "avx512", supported, reflect<Floats>, reflect<Doubles>, multiply_by<Floats>, multiply_by<Doubles>};

}  // namespace fanin
