// Batch normalisation of rows of channels in training: moments, the result with residual and activation, and gradients.
#ifndef AXIAL_NORM_H
#define AXIAL_NORM_H

#include "bfloat.h"
#include "threads.h"

namespace {

constexpr int64_t SUMMED = 64, STAGED = 16;  // rows that are summed in floats; rows whose gradients are prepared together

struct Normed {
    const AxialNorm* a;
    int64_t channels, piece_rows, pieces;
    double* sums;  // (pieces, 2, channels)
    bool failed;
};

// Number of rows in a piece. The pieces, and so the order of summation, depend on the number of rows alone.
INLINE void rows_of(const Normed& w, int64_t index, int64_t* begin, int64_t* end) {
    *begin = index * w.piece_rows;
    *end = least(w.a->rows, *begin + w.piece_rows);
}

// Returns this thread's own memory for so many floats; without memory the call fails.
INLINE float* room(Normed& w, int64_t count) {
    static thread_local Scratch scratch;
    float* floats = scratch.floats(count);
    if (floats == nullptr) w.failed = true;
    return floats;
}

// Sums the differences from the pivot, a value near the mean, and their squares, for V vectors of channels.
template <int V, class X>
INLINE void add_up(const X* x, int64_t row, int64_t count, const float* pivots, int64_t lanes, double* sums, double* squares) {
    Vector sum[V], square[V], pivot[V];
    UNROLL for (int v = 0; v < V; ++v) sum[v] = square[v] = Vector{}, pivot[v] = load(pivots + v * LANES, lanes - v * LANES);
    for (int64_t r = 0; r < count; ++r, x += row) {
        UNROLL for (int v = 0; v < V; ++v) {
            const Vector centred = load(x + v * LANES, V > 1 ? LANES : lanes) - pivot[v];
            sum[v] += centred;
            square[v] += centred * centred;
        }
    }
    for (int v = 0; v < V; ++v) {
        for (int64_t l = 0; l < least(LANES, lanes - v * LANES); ++l) sums[v * LANES + l] += sum[v][l], squares[v * LANES + l] += square[v][l];
    }
}

template <class X>
inline void moments_piece(void* data, int64_t index) {
    const Normed& w = *static_cast<Normed*>(data);
    const X* x = static_cast<const X*>(w.a->x);
    double *sums = w.sums + index * 2 * w.channels, *squares = sums + w.channels;
    int64_t begin, end;
    rows_of(w, index, &begin, &end);
    for (int64_t first = begin; first < end; first += SUMMED) {
        const X* from = x + first * w.channels;
        const int64_t count = least(SUMMED, end - first);
        int64_t c = 0;
        for (; c + 4 * LANES <= w.channels; c += 4 * LANES) add_up<4>(from + c, w.channels, count, w.a->mean + c, 4 * LANES, sums + c, squares + c);
        for (; c < w.channels; c += LANES) add_up<1>(from + c, w.channels, count, w.a->mean + c, w.channels - c, sums + c, squares + c);
    }
}

// Transposes (rows, columns) to (columns, rows).
template <int ROWS_OR_ANY, int COLUMNS_OR_ANY>
INLINE void turned(const float* from, int64_t any_rows, int64_t any_columns, float* to) {
    const int64_t rows = ROWS_OR_ANY ? ROWS_OR_ANY : any_rows, columns = COLUMNS_OR_ANY ? COLUMNS_OR_ANY : any_columns;
    for (int64_t c = 0; c < columns; ++c) {
        for (int64_t r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
    }
}

// Reorders channels from head fastest to head by head.
INLINE void head_by_head(const float* from, int64_t outputs, int64_t heads, float* to) {
    if (heads == 8) return turned<0, 8>(from, outputs / 8, 8, to);
    if (heads == 4) return turned<0, 4>(from, outputs / 4, 4, to);
    turned<0, 0>(from, outputs / heads, heads, to);
}

INLINE void head_fastest(const float* from, int64_t outputs, int64_t heads, float* to) {
    if (heads == 8) return turned<8, 0>(from, 8, outputs / 8, to);
    if (heads == 4) return turned<4, 0>(from, 4, outputs / 4, to);
    turned<0, 0>(from, heads, outputs / heads, to);
}

// Sums the norms of all terms, for the channels of a row from c on.
template <class X>
INLINE Vector normed(const AxialNorm& a, const X* x, int64_t c, int64_t lanes) {
    Vector sum{};
    for (int64_t term = 0; term < a.terms; ++term, c += a.outputs) {
        sum += (load(x + c, lanes) - load(a.mean + c, lanes)) * load(a.scale + c, lanes) + load(a.bias + c, lanes);
    }
    return sum;
}

template <class X, class Y>
inline void apply_piece(void* data, int64_t index) {
    Normed& w = *static_cast<Normed*>(data);
    const AxialNorm& a = *w.a;
    float* line = room(w, 2 * a.outputs);
    if (line == nullptr) return;
    int64_t begin, end;
    rows_of(w, index, &begin, &end);
    for (int64_t r = begin; r < end; ++r) {
        const X* x = static_cast<const X*>(a.x) + r * w.channels;
        Y* y = static_cast<Y*>(a.y) + r * a.outputs;
        const Y* residual = static_cast<const Y*>(a.residual) + r * a.outputs;
        if (a.heads) {
            for (int64_t c = 0; c < a.outputs; c += LANES) store(line + c, normed(a, x, c, a.outputs - c), a.outputs - c);
            head_by_head(line, a.outputs, a.heads, line + a.outputs);
        }
        for (int64_t c = 0; c < a.outputs; c += LANES) {
            const int64_t lanes = a.outputs - c;
            Vector sum = a.heads ? load(line + a.outputs + c, lanes) : normed(a, x, c, lanes);
            if (a.residual != nullptr) sum += load(residual + c, lanes);
            store(y + c, a.relu ? (sum < 0.0f ? Vector{} : sum) : sum, lanes);
        }
    }
}

// Returns the gradients of the norm's results for `count` rows from r on: through the activation, in the order of x's channels. If they are
// there already they are not copied, else they are written to `to`; `line` is memory for a row.
template <class Y>
INLINE const float* stage(const AxialNorm& a, int64_t r, int64_t count, float* to, float* line) {
    const Y *gradient = static_cast<const Y*>(a.grad_y) + r * a.outputs, *y = static_cast<const Y*>(a.y) + r * a.outputs;
    if (!a.y_bfloat && !a.relu && !a.heads) return static_cast<const float*>(a.grad_y) + r * a.outputs;
    const float* staged = to;
    for (int64_t i = 0; i < count; ++i, to += a.outputs, gradient += a.outputs, y += a.outputs) {
        float* into = a.heads ? line : to;
        for (int64_t c = 0; c < a.outputs; c += LANES) {
            const int64_t lanes = a.outputs - c;
            Vector x = load(gradient + c, lanes);
            if (a.relu) x = load(y + c, lanes) > 0.0f ? x : Vector{};
            store(into + c, x, lanes);
        }
        if (a.heads) head_fastest(line, a.outputs, a.heads, to);
    }
    return staged;
}

// Adds up gradients, and gradients times the difference from the mean, for V vectors of channels.
template <int V, class X>
INLINE void add_gradients(const AxialNorm& a, const X* x, int64_t row, const float* gradient, int64_t count, int64_t at, int64_t lanes,
                          float* sums, float* products) {
    Vector sum[V], product[V], mean[V];
    UNROLL for (int v = 0; v < V; ++v) {
        mean[v] = load(a.mean + at + v * LANES, V > 1 ? LANES : lanes);
        sum[v] = product[v] = Vector{};
    }
    for (int64_t i = 0; i < count; ++i, x += row, gradient += a.outputs) {
        UNROLL for (int v = 0; v < V; ++v) {
            const Vector g = load(gradient + v * LANES, V > 1 ? LANES : lanes);
            sum[v] += g;
            product[v] += g * (load(x + v * LANES, V > 1 ? LANES : lanes) - mean[v]);
        }
    }
    UNROLL for (int v = 0; v < V; ++v) {
        float *s = sums + at + v * LANES, *p = products + at + v * LANES;
        store(s, load(s, V > 1 ? LANES : lanes) + sum[v], V > 1 ? LANES : lanes);
        store(p, load(p, V > 1 ? LANES : lanes) + product[v], V > 1 ? LANES : lanes);
    }
}

template <class X, class Y>
inline void sums_piece(void* data, int64_t index) {
    Normed& w = *static_cast<Normed*>(data);
    const AxialNorm& a = *w.a;
    float* staged = room(w, (STAGED + 1) * a.outputs + 2 * w.channels);
    if (staged == nullptr) return;
    float *line = staged + STAGED * a.outputs, *sum = line + a.outputs, *product = sum + w.channels;
    double* sums = w.sums + index * 2 * w.channels;
    int64_t begin, end;
    rows_of(w, index, &begin, &end);
    memset(sum, 0, sizeof(float) * 2 * w.channels);
    for (int64_t r = begin; r < end;) {
        const int64_t count = least(STAGED, end - r);
        const float* gradients = stage<Y>(a, r, count, staged, line);
        for (int64_t term = 0; term < a.terms; ++term) {
            const X* x = static_cast<const X*>(a.x) + r * w.channels + term * a.outputs;
            int64_t c = 0;
            for (; c + 4 * LANES <= a.outputs; c += 4 * LANES) add_gradients<4>(a, x + c, w.channels, gradients + c, count, term * a.outputs + c, 4 * LANES, sum, product);
            for (; c < a.outputs; c += LANES) {
                add_gradients<1>(a, x + c, w.channels, gradients + c, count, term * a.outputs + c, a.outputs - c, sum, product);
            }
        }
        r += count;
        if ((r - begin) % SUMMED == 0 || r == end) {
            for (int64_t c = 0; c < 2 * w.channels; ++c) sums[c] += sum[c];
            memset(sum, 0, sizeof(float) * 2 * w.channels);
        }
    }
}

template <class X, class Y>
inline void gradients_piece(void* data, int64_t index) {
    Normed& w = *static_cast<Normed*>(data);
    const AxialNorm& a = *w.a;
    float* staged = room(w, (STAGED + 1) * a.outputs + 2 * w.channels);
    if (staged == nullptr) return;
    float *line = staged + STAGED * a.outputs, *shift = line + a.outputs, *slope = shift + w.channels;
    for (int64_t c = 0; c < w.channels; ++c) {
        shift[c] = static_cast<float>(w.sums[c] / a.rows);
        slope[c] = static_cast<float>(w.sums[w.channels + c] / a.rows * a.inverse[c] * a.inverse[c]);
    }
    int64_t begin, end;
    rows_of(w, index, &begin, &end);
    for (int64_t r = begin; r < end; r += STAGED) {
        const int64_t count = least(STAGED, end - r);
        const float* gradients = stage<Y>(a, r, count, staged, line);
        for (int64_t i = 0; i < count; ++i, gradients += a.outputs) {
            const X* x = static_cast<const X*>(a.x) + (r + i) * w.channels;
            X* to = static_cast<X*>(a.grad_x) + (r + i) * w.channels;
            for (int64_t term = 0; term < a.terms; ++term) {
                for (int64_t c = 0; c < a.outputs; c += LANES) {
                    const int64_t at = term * a.outputs + c, lanes = a.outputs - c;
                    const Vector g = load(gradients + c, lanes), centred = load(x + at, lanes) - load(a.mean + at, lanes);
                    store(to + at, load(a.scale + at, lanes) * (g - load(shift + at, lanes) - centred * load(slope + at, lanes)), lanes);
                }
            }
            if (a.grad_residual != nullptr) {
                Y* residual = static_cast<Y*>(a.grad_residual) + (r + i) * a.outputs;
                if (a.heads) head_by_head(gradients, a.outputs, a.heads, line);
                const float* from = a.heads ? line : gradients;
                for (int64_t c = 0; c < a.outputs; c += LANES) store(residual + c, load(from + c, a.outputs - c), a.outputs - c);
            }
        }
    }
}

INLINE Normed normed_rows(const AxialNorm* a, bool sums) {
    Normed w{a, a->terms * a->outputs, SUMMED * most(4, divide_up(a->rows, 256 * SUMMED)), 0, nullptr, false};
    w.pieces = divide_up(a->rows, w.piece_rows);
    if (sums) w.sums = static_cast<double*>(calloc(static_cast<size_t>(most(1, w.pieces) * 2 * w.channels), sizeof(double)));
    return w;
}

INLINE void total(Normed& w) {
    for (int64_t piece = 1; piece < w.pieces; ++piece) {
        for (int64_t i = 0; i < 2 * w.channels; ++i) w.sums[i] += w.sums[piece * 2 * w.channels + i];
    }
}

// Computes the mean of the first rows.
template <class X>
INLINE void pivots(const AxialNorm& a, int64_t channels, float* to) {
    const int64_t count = least(a.rows, SUMMED);
    for (int64_t c = 0; c < channels; c += LANES) {
        Vector sum{};
        const X* x = static_cast<const X*>(a.x) + c;
        for (int64_t r = 0; r < count; ++r, x += channels) sum += load(x, channels - c);
        store(to + c, sum / static_cast<float>(count), channels - c);
    }
}

inline int norm_moments(const AxialNorm* a, int threads, AxialParallel parallel) {
    Normed w = normed_rows(a, true);
    if (w.sums == nullptr) return 1;
    a->x_bfloat ? pivots<Bfloat>(*a, w.channels, a->mean) : pivots<float>(*a, w.channels, a->mean);
    in_parallel(a->x_bfloat ? moments_piece<Bfloat> : moments_piece<float>, &w, w.pieces, threads, parallel);
    total(w);
    for (int64_t c = 0; c < w.channels; ++c) {
        const double mean = w.sums[c] / a->rows, square = w.sums[w.channels + c] / a->rows - mean * mean;
        a->mean[c] = static_cast<float>(a->mean[c] + mean);
        a->variance[c] = static_cast<float>(square < 0 ? 0 : square);
    }
    free(w.sums);
    return 0;
}

#define TYPED(function) \
    (a->x_bfloat ? (a->y_bfloat ? function<Bfloat, Bfloat> : function<Bfloat, float>) : (a->y_bfloat ? function<float, Bfloat> : function<float, float>))

inline int norm_forward(const AxialNorm* a, int threads, AxialParallel parallel) {
    Normed w = normed_rows(a, false);
    in_parallel(TYPED(apply_piece), &w, w.pieces, threads, parallel);
    return w.failed ? 1 : 0;
}

inline int norm_backward(const AxialNorm* a, int threads, AxialParallel parallel) {
    Normed w = normed_rows(a, true);
    if (w.sums == nullptr) return 1;
    in_parallel(TYPED(sums_piece), &w, w.pieces, threads, parallel);
    total(w);
    for (int64_t c = 0; c < w.channels; ++c) {
        a->grad_bias[c] = static_cast<float>(w.sums[c]);
        a->grad_weight[c] = static_cast<float>(w.sums[w.channels + c] * a->inverse[c]);
    }
    in_parallel(TYPED(gradients_piece), &w, w.pieces, threads, parallel);
    free(w.sums);
    return w.failed ? 1 : 0;
}

}  // namespace
#endif
