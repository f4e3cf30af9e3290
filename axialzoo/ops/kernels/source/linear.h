// Products of rows of channels and a matrix, then bias, residual and activation: 1x1 convolutions, projections.
#ifndef AXIAL_LINEAR_H
#define AXIAL_LINEAR_H

#include "threads.h"
#include "vector.h"

namespace {

// The packed weight is panels of WIDTH outputs, (panel, inputs, WIDTH), the same for every instruction set; a tile is ROWS rows
// by PANEL vectors of outputs, so narrow vectors need several steps per panel. The bias is as wide as all panels.
constexpr int ROWS = 6, PANEL = LANES == 16 ? 4 : 2;
constexpr int64_t WIDTH = 64, BLOCK = 96;  // BLOCK: rows that pass through all panels together

// Result of a block of rows: y, with `y_row` floats a row, of which `outputs` are written.
struct Product {
    int64_t inputs, outputs, y_row;
    const float *weight, *bias, *residual;
    float* y;
    bool relu;
};

template <int R>
INLINE void product(const Product& a, const float* const* rows, const float* weight, int64_t first, int64_t row) {
    Vector sum[R][PANEL];
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] = a.bias == nullptr ? Vector{} : load(a.bias + first + j * LANES);
    for (int64_t c = 0; c < a.inputs; ++c, weight += WIDTH) {
        Vector w[PANEL];
        UNROLL for (int j = 0; j < PANEL; ++j) w[j] = load(weight + j * LANES);
        UNROLL for (int i = 0; i < R; ++i) {
            const Vector x = all(rows[i][c]);
            UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] += x * w[j];
        }
    }
    constexpr int64_t TILE = PANEL * LANES;
    const int64_t count = least(TILE, a.outputs - first);
    for (int i = 0; i < R; ++i) {
        float* y = a.y + (row + i) * a.y_row + first;
        const float* residual = a.residual + (row + i) * a.y_row + first;
        if (count == TILE) {
            UNROLL for (int j = 0; j < PANEL; ++j) {
                Vector x = sum[i][j];
                if (a.residual != nullptr) x += load(residual + j * LANES);
                if (a.relu) x = x < 0.0f ? Vector{} : x;
                store(y + j * LANES, x);
            }
        } else {
            float lanes[TILE];
            UNROLL for (int j = 0; j < PANEL; ++j) store(lanes + j * LANES, sum[i][j]);
            for (int64_t o = 0; o < count; ++o) {
                const float x = a.residual != nullptr ? lanes[o] + residual[o] : lanes[o];
                y[o] = a.relu && x < 0.0f ? 0.0f : x;
            }
        }
    }
}

// Computes rows `begin` to `end` of outputs `from` to `to`; rows[i] is row begin + i of x.
INLINE void multiply(const Product& a, const float* const* rows, int64_t begin, int64_t end, int64_t from, int64_t to) {
    for (int64_t first = from; first < to; first += PANEL * LANES) {
        const float* weight = a.weight + first / WIDTH * WIDTH * a.inputs + first % WIDTH;
        int64_t row = begin;
        for (; row + ROWS <= end; row += ROWS) product<ROWS>(a, rows + row - begin, weight, first, row);
        for (; row + 2 <= end; row += 2) product<2>(a, rows + row - begin, weight, first, row);
        if (row < end) product<1>(a, rows + row - begin, weight, first, row);
    }
}

struct Linear {
    const AxialLinear* a;
    int64_t slices;  // slices of the outputs: the number of pieces per block of rows
};

inline void linear_piece(void* data, int64_t index) {
    const Linear& l = *static_cast<const Linear*>(data);
    const AxialLinear& a = *l.a;
    const int64_t begin = index / l.slices * BLOCK, end = least(a.batch * a.height * a.width, begin + BLOCK), slice = index % l.slices;
    const int64_t panels = divide_up(a.outputs, WIDTH);
    const float* rows[BLOCK];
    for (int64_t row = begin; row < end; ++row) {
        const int64_t w = row % a.width, h = row / a.width % a.height, n = row / a.width / a.height;
        rows[row - begin] = a.x + n * a.x_batch + h * a.x_height + w * a.x_width;
    }
    const Product p{a.inputs, a.outputs, a.outputs, a.weight, a.bias, a.residual, a.y, a.relu != 0};
    multiply(p, rows, begin, end, panels * slice / l.slices * WIDTH, least(a.outputs, panels * (slice + 1) / l.slices * WIDTH));
}

inline int linear(const AxialLinear* a, int threads, AxialParallel parallel) {
    const int64_t blocks = divide_up(a->batch * a->height * a->width, BLOCK), panels = divide_up(a->outputs, WIDTH);
    Linear l{a, threads > 1 && blocks < 4 * threads ? least(panels, 2 * threads) : 1};
    in_parallel(linear_piece, &l, blocks * l.slices, threads, parallel);
    return 0;
}

// Gradient of the weight, (outputs, inputs): a tile of ROWS outputs by PANEL vectors of inputs sums over all rows, block after block.
struct WeightGradient {
    const AxialWeightGradient* a;
    int64_t slice;  // number of outputs in a piece: a multiple of ROWS
    bool failed;
};

// Adds the sum over `count` rows of grad[row, i] x[row, j] to the gradient; both are packed, in rows of ROWS and of WIDTH.
template <int R>
INLINE void outer_product(const float* grad, const float* x, int64_t count, float* to, int64_t to_row, int64_t lanes) {
    Vector sum[R][PANEL];
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] = Vector{};
    for (int64_t row = 0; row < count; ++row, grad += ROWS, x += WIDTH) {
        Vector columns[PANEL];
        UNROLL for (int j = 0; j < PANEL; ++j) columns[j] = load(x + j * LANES);
        UNROLL for (int i = 0; i < R; ++i) {
            const Vector g = all(grad[i]);
            UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] += g * columns[j];
        }
    }
    for (int i = 0; i < R; ++i, to += to_row) {
        if (lanes >= PANEL * LANES) {
            UNROLL for (int j = 0; j < PANEL; ++j) store(to + j * LANES, load(to + j * LANES) + sum[i][j]);
        } else {
            float row[PANEL * LANES];
            UNROLL for (int j = 0; j < PANEL; ++j) store(row + j * LANES, sum[i][j]);
            for (int64_t c = 0; c < lanes; ++c) to[c] += row[c];
        }
    }
}

inline void weight_gradient_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    WeightGradient& w = *static_cast<WeightGradient*>(data);
    const AxialWeightGradient& a = *w.a;
    const int64_t first = index * w.slice, last = least(a.outputs, first + w.slice), rows = a.batch * a.height * a.width;
    const int64_t tiles = divide_up(last - first, ROWS);
    float* grads = scratch.floats(BLOCK * (tiles * ROWS + WIDTH));
    if (grads == nullptr) {
        w.failed = true;
        return;
    }
    float* columns = grads + BLOCK * tiles * ROWS;
    memset(grads, 0, sizeof(float) * BLOCK * (tiles * ROWS + WIDTH));
    memset(a.grad_weight + first * a.inputs, 0, sizeof(float) * (last - first) * a.inputs);
    for (int64_t begin = 0; begin < rows; begin += BLOCK) {
        const int64_t count = least(BLOCK, rows - begin);
        const float* x[BLOCK];
        for (int64_t row = 0; row < count; ++row) {
            const int64_t at = begin + row, column = at % a.width, line = at / a.width % a.height, n = at / a.width / a.height;
            x[row] = a.x + n * a.x_batch + line * a.x_height + column * a.x_width;
            const float* from = a.grad_y + at * a.outputs;
            for (int64_t tile = 0; tile < tiles; ++tile) {
                const int64_t o = first + tile * ROWS;
                float* to = grads + (tile * BLOCK + row) * ROWS;
                if (o + ROWS <= last) {
                    memcpy(to, from + o, sizeof(float) * ROWS);
                } else {
                    memcpy(to, from + o, sizeof(float) * (last - o));
                }
            }
        }
        for (int64_t c = 0; c < a.inputs; c += WIDTH) {
            const int64_t wide = least(WIDTH, a.inputs - c);
            for (int64_t row = 0; row < count; ++row) memcpy(columns + row * WIDTH, x[row] + c, sizeof(float) * wide);
            for (int64_t tile = 0; tile < tiles; ++tile) {
                const float* grad = grads + tile * BLOCK * ROWS;
                const int64_t o = first + tile * ROWS;
                for (int64_t j = 0; j < wide; j += PANEL * LANES) {
                    float* to = a.grad_weight + o * a.inputs + c + j;
                    if (o + ROWS <= last) {
                        outer_product<ROWS>(grad, columns + j, count, to, a.inputs, wide - j);
                    } else {
                        for (int64_t i = 0; i < last - o; ++i) outer_product<1>(grad + i, columns + j, count, to + i * a.inputs, a.inputs, wide - j);
                    }
                }
            }
        }
    }
}

inline int weight_gradient(const AxialWeightGradient* a, int threads, AxialParallel parallel) {
    const int64_t tiles = divide_up(a->outputs, ROWS);
    WeightGradient w{a, divide_up(tiles, most(1, least(tiles, threads))) * ROWS, false};
    in_parallel(weight_gradient_piece, &w, divide_up(a->outputs, w.slice), threads, parallel);
    return w.failed ? 1 : 0;
}

}  // namespace
#endif
