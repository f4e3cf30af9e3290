// Depthwise convolutions. A piece is a line of the result.
#ifndef AXIAL_DEPTHWISE_H
#define AXIAL_DEPTHWISE_H

#include "activation.h"

namespace {

// Depthwise convolution at one position, `count` channels from `c` on.
INLINE void depthwise_position(const AxialStep& a, int64_t n, int64_t h, int64_t w, int64_t c, int64_t count) {
    Vector sum = load_some(a.bias + c, count);
    for (int64_t i = 0; i < a.side; ++i) {
        const int64_t line = h * a.stride - a.padding + i * a.dilation;
        if (line < 0 || line >= a.in_height) continue;
        for (int64_t j = 0; j < a.side; ++j) {
            const int64_t position = w * a.stride - a.padding + j * a.dilation;
            if (position < 0 || position >= a.in_width) continue;
            sum += load_some(at(a.x, n, line, position) + c, count) * load_some(a.weight + (i * a.side + j) * a.outputs + c, count);
        }
    }
    const float* residual = at(a.residual, n, h, w);
    finish(a, sum, residual == nullptr ? nullptr : residual + c, at(a.y, n, h, w) + c, count);
}

// R positions from w on, whose kernels of side S lie inside the line, with stride and dilation 1.
template <int S, int R>
INLINE void depthwise_tile(const AxialStep& a, int64_t n, int64_t h, int64_t w, int64_t c) {
    Vector sum[R];
    UNROLL for (int r = 0; r < R; ++r) sum[r] = load(a.bias + c);
    for (int64_t i = 0; i < S; ++i) {
        const int64_t line = h - a.padding + i;
        if (line < 0 || line >= a.in_height) continue;
        const float* x = at(a.x, n, line, w - a.padding) + c;
        Vector weight[S];
        UNROLL for (int j = 0; j < S; ++j) weight[j] = load(a.weight + (i * S + j) * a.outputs + c);
        UNROLL for (int k = 0; k < R + S - 1; ++k) {
            const Vector value = load(x + k * a.x.position);
            UNROLL for (int j = 0; j < S; ++j) {
                if (k - j >= 0 && k - j < R) sum[k - j] += value * weight[j];
            }
        }
    }
    float* y = at(a.y, n, h, w) + c;
    if (is_plain(a) && a.residual.data == nullptr) {
        const Vector floor = floor_of(a);
        UNROLL for (int r = 0; r < R; ++r) store(y + r * a.y.position, sum[r] < floor ? floor : sum[r]);
        return;
    }
    UNROLL for (int r = 0; r < R; ++r) {
        const float* residual = at(a.residual, n, h, w + r);
        finish(a, sum[r], residual == nullptr ? nullptr : residual + c, at(a.y, n, h, w + r) + c, LANES);
    }
}

template <int S>
inline void depthwise_line(const AxialStep& a, int64_t n, int64_t h) {
    constexpr int R = LANES == 16 ? 12 : 6;
    const int64_t last = S > 0 && a.stride == 1 && a.dilation == 1 ? a.in_width - a.padding : 0;
    int64_t w = 0;
    while (w < a.width) {
        const bool inside = w >= a.padding && w + R <= last;
        int64_t c = 0;
        if constexpr (S > 0) {
            for (; inside && c + LANES <= a.outputs; c += LANES) depthwise_tile<S, R>(a, n, h, w, c);
        }
        const int64_t count = inside ? R : 1;
        for (; c < a.outputs; c += LANES) {
            for (int64_t r = 0; r < count; ++r) depthwise_position(a, n, h, w + r, c, least(LANES, a.outputs - c));
        }
        w += count;
    }
}

inline void depthwise_piece(void* data, int64_t index) {
    const AxialStep& a = *static_cast<const AxialStep*>(data);
    const int64_t n = index / a.height, h = index % a.height;
    switch (a.side) {
        case 3: return depthwise_line<3>(a, n, h);
        case 5: return depthwise_line<5>(a, n, h);
        case 7: return depthwise_line<7>(a, n, h);
        default: return depthwise_line<0>(a, n, h);
    }
}

}  // namespace
#endif
