// The work of haar.hpp for any vector; every file that includes it makes one path.
//
// With rows v_i of V, scaled so that |v_i|^2 / 2 is near 1, the reflections are I - V' T V where
// T^-1 = striu(V V') + diag(V V') / 2 (the UT transform).
#pragma once

#include <cmath>
#include <cstdint>

#include "fanin/gemm.hpp"
#include "fanin/haar.hpp"

namespace fanin {
namespace {

// Rows of the matrix that a thread takes: their part of the product stays in a second-level cache.
template <class V>
constexpr std::size_t strip_rows = 224 / V::rows * V::rows;
// Summed indices that are packed at a time.
constexpr std::size_t pack_step = 256;
// Partial sums of a length, folded by halves at the end.
constexpr std::size_t fold = 16;

template <class T>
double square_length(const T* x, std::size_t count) {
    double part[fold] = {};
    std::size_t j = 0;
    for (; j + fold <= count; j += fold)
        for (std::size_t k = 0; k < fold; ++k) {
            const double value = static_cast<double>(x[j + k]);
            part[k] = std::fma(value, value, part[k]);
        }
    for (std::size_t k = 0; j < count; ++j, ++k) {
        const double value = static_cast<double>(x[j]);
        part[k] = std::fma(value, value, part[k]);
    }
    for (std::size_t half = fold / 2; half > 0; half /= 2)
        for (std::size_t k = 0; k < half; ++k) part[k] += part[k + half];
    return part[0];
}

template <class Work>
bool each(const Crew& crew, std::size_t pieces, std::size_t at_once, const Work& work) {
    return pieces == 0 || crew.share(
                              crew.self, pieces, at_once,
                              [](const void* data, std::size_t piece) { (*static_cast<const Work*>(data))(piece); },
                              &work);
}

template <class T>
void copy_rows(const T* from, std::ptrdiff_t step, std::size_t rows, std::size_t count, T* to) {
    for (std::size_t r = 0; r < rows; ++r)
        std::memcpy(to + r * row_step, from + static_cast<std::ptrdiff_t>(r) * step, count * sizeof(T));
}

template <class V>
class Reflector {
    using T = typename V::Number;
    static constexpr std::size_t wide = tile_columns<V>;

  public:
    Reflector(const HaarStep<T>& step, const Crew& crew)
        : out_(step.out),
          x_(step.normals),
          step_(step.step),
          rows_(step.rows),
          columns_(step.columns),
          count_(step.count),
          high_(rounded(step.count, V::rows)),
          crew_(crew),
          across_(rounded(step.columns, wide) * step.count),
          down_(rounded(step.count, wide) * step.columns),
          products_(rounded(step.columns, wide) * high_),
          left_(high_ * row_step),
          half_(step.count),
          sign_(step.count) {}

    bool run() {
        return each(crew_, count_, 8, [&](std::size_t i) { make_vector(i); }) && pack() && triangle() && multiply() &&
               head() && strips();
    }

  private:
    std::size_t panels() const { return (columns_ + wide - 1) / wide; }

    // v = (x + sgn(x_1) |x| e_1) / sqrt(|x| (|x| + |x_1|)), which has |v|^2 / 2 = 1 but for rounding.
    void make_vector(std::size_t i) {
        T* const x = x_ + i * columns_;
        std::fill(x, x + i, T{0});
        double square = square_length(x, columns_), lead = static_cast<double>(x[i]);
        // A row of zeros reflects along its first coordinate, like any other.
        if (square == 0.0) square = lead = 1.0;
        sign_[i] = lead < 0.0 ? 1.0 : -1.0;
        const double length = std::sqrt(square);
        x[i] = static_cast<T>(lead < 0.0 ? lead - length : lead + length);
        const double half = length * (length + std::fabs(lead));
        const T scale = static_cast<T>(1.0 / std::sqrt(half));
        for (std::size_t j = i; j < columns_; ++j) x[j] *= scale;
        half_[i] = half * (static_cast<double>(scale) * static_cast<double>(scale));
    }

    bool pack() {
        const std::size_t groups = (count_ + wide - 1) / wide, cuts = (columns_ + pack_step - 1) / pack_step;
        return each(crew_, panels(), 4,
                    [&](std::size_t p) {
                        pack_columns<V>(x_, columns_, count_, p * wide, columns_, across_ + p * wide * count_);
                    }) &&
               each(crew_, groups * cuts, 1, [&](std::size_t piece) {
                   const std::size_t group = piece / cuts, first = piece % cuts * pack_step;
                   pack_rows<V>(x_, columns_, first, std::min(columns_, first + pack_step), group * wide, count_,
                                down_ + group * wide * columns_);
               });
    }

    // to (rows x count, row_step apart) = from[:, begin:] V[:, begin:]', columns from `least` on.
    void times_vectors(const T* from, std::ptrdiff_t step, std::size_t rows, std::size_t begin, std::size_t least,
                       T* copy, T* to) const {
        for (std::size_t first = begin; first < columns_; first += depth_step) {
            const std::size_t depth = std::min(depth_step, columns_ - first);
            copy_rows(from + first, step, rows, depth, copy);
            for (std::size_t group = least / wide; group * wide < count_; ++group) {
                const T* const b = down_ + group * wide * columns_ + first * wide;
                for (std::size_t r = 0; r < rows; r += V::rows) {
                    T* const c = to + r * row_step + group * wide;
                    if (first == begin)
                        whole_tile<V, Into::fresh>(copy + r * row_step, b, depth, c, row_step);
                    else
                        whole_tile<V, Into::chain>(copy + r * row_step, b, depth, c, row_step);
                }
            }
        }
    }

    // left_ = -T', T the inverse of the upper triangle of V V' with its halved diagonal.
    bool triangle() {
        Scratch<T> inner(high_ * row_step);
        const bool finished = each(crew_, high_ / V::rows, 1, [&](std::size_t piece) {
            alignas(64) T copy[V::rows * row_step] = {};
            const std::size_t first = piece * V::rows;
            times_vectors(x_ + first * columns_, static_cast<std::ptrdiff_t>(columns_),
                          std::min(V::rows, count_ - first), 0, first, copy, inner + first * row_step);
        });
        if (!finished) return false;
        // Column j of T is row j here: T_ij = -(sum over k in i..j-1 of T_ik U_kj) T_jj, k ascending.
        Scratch<double> t(count_ * count_);
        for (std::size_t j = 0; j < count_; ++j) {
            double* const column = t + j * count_;
            std::fill(column, column + count_, 0.0);
            for (std::size_t k = 0; k < j; ++k) {
                const double factor = static_cast<double>(inner[k * row_step + j]);
                const double* const earlier = t + k * count_;
                for (std::size_t i = 0; i <= k; ++i) column[i] = std::fma(factor, earlier[i], column[i]);
            }
            const double last = 1.0 / half_[j];
            for (std::size_t i = 0; i < j; ++i) column[i] *= -last;
            column[j] = last;
        }
        for (std::size_t j = 0; j < high_; ++j)
            for (std::size_t i = 0; i < row_step; ++i)
                left_[j * row_step + i] = j < count_ && i <= j ? static_cast<T>(-t[j * count_ + i]) : T{0};
        return true;
    }

    // products_ = -T' V, packed as a right factor.
    bool multiply() {
        return each(crew_, panels(), 2, [&](std::size_t p) {
            for (std::size_t r = 0; r < high_; r += V::rows)
                whole_tile<V, Into::fresh>(left_ + r * row_step, across_ + p * wide * count_,
                                           std::min(count_, r + V::rows), products_ + (p * high_ + r) * wide, wide);
        });
    }

    // out[:count] = D (I - V_b' T V): the first rows of the reflections.
    bool head() {
        for (std::size_t j = 0; j < high_; ++j)
            for (std::size_t i = 0; i < row_step; ++i)
                left_[j * row_step + i] = j < count_ && i <= j ? static_cast<T>(sign_[j]) * x_[i * columns_ + j] : T{0};
        const bool finished = each(crew_, panels(), 2, [&](std::size_t p) {
            for (std::size_t r = 0; r < count_; r += V::rows)
                tile<V, Into::fresh>(left_ + r * row_step, products_ + p * high_ * wide, std::min(count_, r + V::rows),
                                     row(r) + p * wide, static_cast<std::size_t>(step_), count_ - r,
                                     columns_ - p * wide);
        });
        for (std::size_t i = 0; i < count_; ++i) row(i)[i] += static_cast<T>(sign_[i]);
        return finished;
    }

    // out[count:] = [0 W] (I - V' T V), W what out[count:, count:] holds.
    bool strips() {
        const std::size_t rest = rows_ - count_;
        return each(crew_, (rest + strip_rows<V> - 1) / strip_rows<V>, 1, [&](std::size_t piece) {
            const std::size_t first = piece * strip_rows<V>, rows = std::min(strip_rows<V>, rest - first);
            Scratch<T> copy(strip_rows<V> * row_step), part(strip_rows<V> * row_step);
            std::fill(copy + rows * row_step, copy + rounded(rows, V::rows) * row_step, T{0});
            times_vectors(row(count_ + first), step_, rows, count_, 0, copy, part);
            for (std::size_t p = 0; p < panels(); ++p)
                for (std::size_t r = 0; r < rows; r += V::rows) {
                    T* const c = row(count_ + first + r) + p * wide;
                    const T* const b = products_ + p * high_ * wide;
                    const std::size_t c_step = static_cast<std::size_t>(step_), left = columns_ - p * wide;
                    if (p * wide < count_)
                        tile<V, Into::fresh>(part + r * row_step, b, count_, c, c_step, rows - r, left);
                    else
                        tile<V, Into::sum>(part + r * row_step, b, count_, c, c_step, rows - r, left);
                }
        });
    }

    T* row(std::size_t i) const { return out_ + static_cast<std::ptrdiff_t>(i) * step_; }

    T* const out_;
    T* const x_;
    const std::ptrdiff_t step_;
    const std::size_t rows_, columns_, count_, high_;
    const Crew& crew_;
    Scratch<T> across_, down_, products_, left_;
    Scratch<double> half_, sign_;
};

template <class V>
bool reflect(const HaarStep<typename V::Number>& step, const Crew& crew) {
    return Reflector<V>(step, crew).run();
}

template <class V>
bool multiply_by(const Product<typename V::Number>& product, const Crew& crew) {
    using T = typename V::Number;
    constexpr std::size_t wide = tile_columns<V>;
    const std::size_t panels = (product.columns + wide - 1) / wide, depth = product.depth;
    Scratch<T> right(panels * wide * depth);
    const bool packed = each(crew, panels, 4, [&](std::size_t p) {
        pack_columns<V>(product.right, static_cast<std::size_t>(product.right_step), depth, p * wide, product.columns,
                        right + p * wide * depth);
    });
    return packed && each(crew, (product.rows + strip_rows<V> - 1) / strip_rows<V>, 1, [&](std::size_t piece) {
        const std::size_t start = piece * strip_rows<V>, rows = std::min(strip_rows<V>, product.rows - start);
        const auto row = [&](std::size_t i) { return product.to + static_cast<std::ptrdiff_t>(i) * product.to_step; };
        Scratch<T> copy(strip_rows<V> * row_step);
        std::fill(copy + rows * row_step, copy + rounded(rows, V::rows) * row_step, T{0});
        if (depth == 0)
            for (std::size_t r = 0; r < rows; ++r) std::fill(row(start + r), row(start + r) + product.columns, T{0});
        for (std::size_t first = 0; first < depth; first += depth_step) {
            const std::size_t now = std::min(depth_step, depth - first);
            copy_rows(product.left + static_cast<std::ptrdiff_t>(start) * product.left_step + first, product.left_step,
                      rows, now, static_cast<T*>(copy));
            for (std::size_t p = 0; p < panels; ++p)
                for (std::size_t r = 0; r < rows; r += V::rows) {
                    const T* const b = right + p * wide * depth + first * wide;
                    T* const c = row(start + r) + p * wide;
                    const std::size_t step = static_cast<std::size_t>(product.to_step), left = product.columns - p * wide;
                    if (first == 0)
                        tile<V, Into::fresh>(copy + r * row_step, b, now, c, step, rows - r, left);
                    else
                        tile<V, Into::chain>(copy + r * row_step, b, now, c, step, rows - r, left);
                }
        }
    });
}

}  // namespace
}  // namespace fanin
