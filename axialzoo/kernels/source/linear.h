// Rows of channels times a matrix, with bias, residual and activation on the way out: 1x1 convolutions, projections.
#ifndef AXIAL_LINEAR_H
#define AXIAL_LINEAR_H

#include "threads.h"
#include "vector.h"

namespace {

// The packed weight is panels of WIDTH outputs, (panel, inputs, WIDTH), the same for every instruction set; a tile is ROWS rows
// by PANEL vectors of outputs, so narrow vectors take a panel in several goes. The bias is as wide as all panels.
constexpr int ROWS = 6, PANEL = LANES == 16 ? 4 : 2;
constexpr int64_t WIDTH = 64, BLOCK = 96;  // rows that are taken through all panels at a time

// What a block of rows becomes: y, `y_row` floats a row, of which `outputs` are written.
struct Product {
    int64_t inputs, outputs, y_row;
    const float *weight, *bias, *residual;
    float* y;
    bool relu;
};

template <int R>
INLINE void product(const Product& a, const float* const* rows, const float* weight, int64_t first, int64_t row) {
    Vector sum[R][PANEL];
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] = load(a.bias + first + j * LANES);
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

// Rows `begin` to `end` by outputs `from` to `to`; rows[i] is row begin + i of x.
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
    int64_t slices;  // of the outputs: each block of rows is so many pieces
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

}  // namespace
#endif
