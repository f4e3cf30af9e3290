// Rows of channels times a matrix, with bias, residual and activation on the way out: 1x1 convolutions, projections.
#ifndef AXIAL_LINEAR_H
#define AXIAL_LINEAR_H

#include "threads.h"
#include "vector.h"

namespace {

// Rows and vectors of outputs of a tile; the packed weight is panels of PANEL vectors, (panel, inputs, PANEL * LANES).
#if AXIAL_LANES == 16
constexpr int ROWS = 6, PANEL = 4;
#else
constexpr int ROWS = 6, PANEL = 2;
#endif
constexpr int64_t WIDTH = PANEL * LANES, BLOCK = 96;  // rows that are taken through all panels at a time

inline int64_t packed_size(int64_t inputs, int64_t outputs) { return divide_up(outputs, WIDTH) * WIDTH * inputs; }

inline void pack(const float* weight, int64_t inputs, int64_t outputs, float* packed) {
    for (int64_t panel = 0; panel < outputs; panel += WIDTH) {
        for (int64_t i = 0; i < inputs; ++i) {
            for (int64_t o = panel; o < panel + WIDTH; ++o) *packed++ = o < outputs ? weight[o * inputs + i] : 0.0f;
        }
    }
}

INLINE const float* row_of(const AxialLinear& a, int64_t row) {
    const int64_t w = row % a.width, h = row / a.width % a.height, n = row / a.width / a.height;
    return a.x + n * a.x_batch + h * a.x_height + w * a.x_width;
}

template <int R>
INLINE void product(const AxialLinear& a, const float* const* rows, const float* weight, int64_t first, int64_t row) {
    Vector sum[R][PANEL];
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] = Vector{};
    for (int64_t c = 0; c < a.inputs; ++c, weight += WIDTH) {
        Vector w[PANEL];
        UNROLL for (int j = 0; j < PANEL; ++j) w[j] = load(weight + j * LANES);
        UNROLL for (int i = 0; i < R; ++i) {
            const Vector x = all(rows[i][c]);
            UNROLL for (int j = 0; j < PANEL; ++j) sum[i][j] += x * w[j];
        }
    }
    const int64_t count = least(WIDTH, a.outputs - first);
    for (int i = 0; i < R; ++i) {
        const int64_t at = (row + i) * a.outputs + first;
        if (count == WIDTH) {
            UNROLL for (int j = 0; j < PANEL; ++j) {
                Vector y = sum[i][j];
                if (a.bias != nullptr) y += load(a.bias + first + j * LANES);
                if (a.residual != nullptr) y += load(a.residual + at + j * LANES);
                if (a.relu) y = y < 0.0f ? Vector{} : y;
                store(a.y + at + j * LANES, y);
            }
        } else {
            float lanes[WIDTH];
            UNROLL for (int j = 0; j < PANEL; ++j) store(lanes + j * LANES, sum[i][j]);
            for (int64_t o = 0; o < count; ++o) {
                float y = lanes[o];
                if (a.bias != nullptr) y += a.bias[first + o];
                if (a.residual != nullptr) y += a.residual[at + o];
                a.y[at + o] = a.relu && y < 0.0f ? 0.0f : y;
            }
        }
    }
}

inline void linear_block(void* data, int64_t index) {
    const AxialLinear& a = *static_cast<const AxialLinear*>(data);
    const int64_t panels = divide_up(a.outputs, WIDTH), total = a.batch * a.height * a.width;
    const int64_t begin = index * BLOCK, end = least(total, begin + BLOCK);
    const float* rows[BLOCK];
    for (int64_t row = begin; row < end; ++row) rows[row - begin] = row_of(a, row);
    for (int64_t panel = 0; panel < panels; ++panel) {
        const float* weight = a.weight + panel * WIDTH * a.inputs;
        int64_t row = begin;
        for (; row + ROWS <= end; row += ROWS) product<ROWS>(a, rows + row - begin, weight, panel * WIDTH, row);
        for (; row + 2 <= end; row += 2) product<2>(a, rows + row - begin, weight, panel * WIDTH, row);
        if (row < end) product<1>(a, rows + row - begin, weight, panel * WIDTH, row);
    }
}

inline int linear(const AxialLinear* a, int threads, AxialParallel parallel) {
    AxialLinear copy = *a;
    in_parallel(linear_block, &copy, divide_up(a->batch * a->height * a->width, BLOCK), threads, parallel);
    return 0;
}

}  // namespace
#endif
