// C interface of the fused kernel. structures.py declares the same structures, field by field.
//
// Letters are those of the project: N batch, O the axis that is not attended, L the attended one, G heads, D depth
// of a head (Dk, Dv). Activations are rows of channels, and the channels of q, k and v lie depth by depth with the head
// index fastest: channel d * G + g. All strides are in floats. A null pointer means that there is no such term.
#ifndef AXIAL_H
#define AXIAL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Runs `body(data)` on `threads` threads, including the caller's. This is GOMP_parallel's signature, so that a framework can
// pass its own threads.
typedef void (*AxialParallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags);

typedef struct {
    int64_t batch, others, length;                         // N, O, L: attention runs along N * O independent lines
    int64_t heads, key_depth, value_depth;                 // G, Dk, Dv
    int64_t reach;                                         // largest distance from a query to its keys, at most L - 1
    int64_t table_reach;                                   // tables have 2 * table_reach + 1 rows, row `distance + table_reach`
    const float* x;                                        // rows of 2K + V projected channels; with a weight, of `inputs` channels
    int64_t x_batch, x_other, x_position;                  // strides of N, O, L
    int64_t inputs;                                        // channels of x
    const float *weight, *bias;                            // projection: (2K + V, inputs), packed as for AxialLinear
    const float *query_table, *key_table, *value_table;    // (rows, D)
    const float *content_scale, *query_scale, *key_scale;  // (G): factors of q.k, q.rq, k.rk
    int64_t content_value;                                 // whether v is retrieved
    const float* position_scale;                           // (Dv * G): factor of the positions retrieved from the value table
    const float* shift;                                    // (Dv * G): added to the result
    float* out;                                            // result: retrieved contents and positions, summed
    float* out_position_term;                              // if not null: positions go here instead, neither scaled nor shifted
    int64_t out_batch, out_other, out_position;            // strides of N, O, L of both
    int64_t out_head, out_depth;                           // strides of G and D of both
    int64_t relu;                                          // 1: max(0, .) of the result
    float* normaliser;                                     // if not null: (N, O, L, G), log2 of each row's sum of 2^logits
} AxialForward;

// Gradients of axial_forward without a weight. `forward` holds x, tables, scales, the strides of the results (head fastest)
// and the normaliser from the forward pass.
typedef struct {
    AxialForward forward;
    const float *grad_content, *grad_position;                           // gradients of out and out_position_term; null where there is none
    float* grad_x;                                                       // gradient of x, with its strides
    float *grad_query_table, *grad_key_table, *grad_value_table;         // shaped like the tables; null where there is none
    float* grad_scales;                                                  // (3, G)
} AxialBackward;

// y = activation(x w + bias + residual), rows of channels. `weight`, (outputs, inputs), is packed: padded with zeros to a
// multiple of 64 outputs, then laid out as (outputs / 64, inputs, 64). The bias is padded too.
typedef struct {
    int64_t batch, height, width;                 // rows: N * H * W
    int64_t x_batch, x_height, x_width;           // strides of the rows of x; its channels are contiguous
    int64_t inputs, outputs;                      // channels
    const float *x, *weight, *bias, *residual;    // residual: contiguous rows like y
    float* y;                                     // contiguous rows
    int64_t relu;                                 // 1: max(0, .)
} AxialLinear;

// Gradient of the weight of AxialLinear: grad_weight[o, c] = sum over rows of grad_y[row, o] x[row, c].
typedef struct {
    int64_t batch, height, width;        // rows: N * H * W
    int64_t x_batch, x_height, x_width;  // strides of the rows of x; its channels are contiguous
    int64_t inputs, outputs;             // channels
    const float *x, *grad_y;             // grad_y: contiguous rows
    float* grad_weight;                  // (outputs, inputs)
} AxialWeightGradient;

// Batch normalisation of rows of channels in training, by three functions. moments computes mean and variance. forward computes
// y = activation(sum over terms of ((x - mean) scale + bias) + residual). backward computes the fields that begin with grad_,
// except grad_y.
typedef struct {
    int64_t rows, terms, outputs;                        // x has terms * outputs channels, y has `outputs`
    int64_t heads;                                       // if not 0: channels of x lie at d * G + g, those of y at g * D + d
    int64_t x_bfloat, y_bfloat;                          // 1: bfloat16, 0: float; gradients have the same types
    int64_t relu;                                        // 1: max(0, .)
    const void* x;                                       // contiguous rows
    float *mean, *variance;                              // (terms * outputs), the variance biased
    const float *scale, *inverse, *bias;                 // (terms * outputs): weight * inverse, 1 / sqrt(variance + epsilon)
    const void* residual;                                // like y; may be null
    void* y;                                             // contiguous rows
    const void* grad_y;                                  // like y
    void *grad_x, *grad_residual;                        // like x; like y, null if not needed
    float *grad_weight, *grad_bias;                      // (terms * outputs)
} AxialNorm;

// Sums of the three terms of the logits of a whole axis and of their squares, and the gradients of these sums, by two functions, forward
// and backward. Queries and keys are the first channels of the rows, as for AxialForward; scales do not apply.
typedef struct {
    int64_t batch, others, length;              // N, O, L
    int64_t heads, key_depth, table_reach;      // G, Dk; tables have 2 * table_reach + 1 rows, at least 2 L - 1
    const float* x;                             // rows of 2K + V channels
    int64_t x_batch, x_other, x_position;       // strides of N, O, L
    const float *query_table, *key_table;       // (rows, Dk)
    int64_t content;                            // whether there is q.k
    double* sums;                               // (3, 2, G): for q.k, q.rq and k.rk the sums, and the sums of squares
    double* grams;                              // (2, L, Dk (Dk + 3) / 2, G): products of queries and of keys, saved for backward
    const double* grad_sums;                    // (3, 2, G)
    float* grad_x;                              // backward adds to it; strides of x
    float *grad_query_table, *grad_key_table;   // (rows, Dk)
} AxialMoments;

// The slot with the largest logit of each pixel, and its probability among the slots, from logits that are resized bilinearly.
typedef struct {
    int64_t height, width;                      // of the result
    int64_t columns, slots;                     // maps: (rows, columns, S)
    const float* maps;                          // logits
    const int64_t *row, *row_after;             // (H): rows of the maps before and after each row of the result
    const int64_t *column, *column_after;       // (W): likewise
    const float *row_share, *column_share;      // (H), (W): how far a pixel is on the way to the one after
    const float* offsets;                       // if not null: (S, padded to 64) added before the softmax, -1e30 leaves a slot out
    int32_t *best, *second;                     // (H, W); if not null, the second is that of pixels where it can have more than 1/3, else -1
    float *scores, *second_scores;              // (H, W): probabilities
} AxialSlots;

// A map in memory: rows of channels, and the strides of N, H and W. If `ring` is not 0, the map has so many lines, a power of two, and line h
// lies in the place of line h % ring.
typedef struct {
    float* data;
    int64_t batch, line, position, ring;
} AxialMap;

// Attention of every position of a map, y and x, to positions of another along one axis. Tables of relative positions have
// 2 * table_reach + 1 rows of half of the depth of a head.
typedef struct {
    int64_t reach;                                         // largest distance from a query to its keys
    int64_t window, offset;                                // side of the windows that keys share with their queries, or 0; the first
                                                           // begins `offset` before the map
    int64_t table_reach;
    const float *query_table, *key_table, *value_table;    // null where there is no such term
} AxialAxis;

// Attention over both axes. x are the queries (G, Dk), `factor` the keys and values, (G, Dk) and (G, Dv) one after the other, head by head.
typedef struct {
    int64_t heads, key_depth, value_depth;                 // G, Dk, Dv
    int64_t key_height, key_width;                         // of `factor`
    int64_t content_value;                                 // whether v is retrieved
    const float *content_scale, *query_scale, *key_scale;  // (G): factors of q.k, q.rq, k.rk; no q.k where the first is null
    const float *value_scale, *position_scale;             // (G * Dv): factors of retrieved values, which may be null, and of positions
    const float* shift;                                    // (G * Dv): added to the result; may be null
    AxialAxis lines, columns;                              // the height and the width
} AxialAttention2D;

// Kinds of operations and of activations of a program, in the order of KINDS and ACTIVATIONS in axialzoo/native/program.py.
enum { AXIAL_CONVOLUTION, AXIAL_DEPTHWISE, AXIAL_ATTENTION, AXIAL_MAX_POOL, AXIAL_AVERAGE_POOL, AXIAL_MEAN, AXIAL_RESIZE, AXIAL_SUM, AXIAL_SCALE,
       AXIAL_STRIPS, AXIAL_ATTENTION_2D, AXIAL_LAYER_NORM, AXIAL_UNIT_NORM, AXIAL_TOKEN_PRODUCT, AXIAL_CLUSTER_SUMS };
enum { AXIAL_NONE, AXIAL_RELU, AXIAL_GELU, AXIAL_GELU_TANH, AXIAL_SILU, AXIAL_ELU, AXIAL_HARD_SIGMOID };

// One operation of a program: y = activation(operation(x) + residual), or activation(operation(x)) + residual if `late`.
typedef struct {
    int64_t kind, activation, late;
    int64_t batch, height, width, outputs;       // N, H, W and channels of y
    int64_t in_height, in_width, inputs;         // H, W and channels of x
    int64_t side, stride, dilation, padding;     // of a convolution or a pooling
    AxialMap x, residual, factor, y;             // a residual and a factor may be null. The factor is (N, 1, 1, C) of a scaling, keys and
                                                 // values of attention over both axes, tokens (N, 1, outputs, inputs) of a product with
                                                 // tokens, and values (N, in_height, in_width, outputs) of sums of clusters
    const float* weight;                         // convolution: panels of 64 outputs, (panel, taps, inputs, 64), the last as narrow as a
                                                 // multiple of 16 allows; depthwise: (taps, channels)
    const float* bias;                           // as wide as all panels
    const int64_t *line_low, *line_high, *position_low, *position_high;  // of a resizing: the two lines and positions of each result
    const float *line_share, *position_share;                            // and the share of the second
    const AxialForward* attention;
    const AxialAttention2D* attention2d;
    const struct AxialStrips* strips;            // operations that run in its place; no other field but the kind matters then
    double epsilon;                              // of a norm of one position
    double seconds;                              // result: time of the operation in a timed program
} AxialStep;

// Operations that run strip by strip: all of them for some rows of their results, then for the next rows. Some of their maps are local:
// each thread has some rows of one image of them, in memory of its own. `data` of a local map is an offset in this memory, in bytes, plus 1.
typedef struct AxialStrips {
    int64_t count, batch, strips, floats;          // operations, N, strips of an image, floats of a thread's memory
    AxialStep* steps;
    const int64_t* rows;                           // (strips, count, 2): rows of each result that a strip needs, the first and the one after the last
} AxialStrips;

// Operations in order. One call runs them all.
typedef struct {
    int64_t count, timed;
    AxialStep* steps;
} AxialProgram;

// Instruction sets that were compiled in, and those that this processor supports, as bits: 1 << AXIAL_PORTABLE and so on.
enum { AXIAL_PORTABLE = 0, AXIAL_AVX2 = 1, AXIAL_AVX512 = 2 };
int axial_compiled(void);
int axial_supported(void);

// All functions and the structures of their arguments, in the order of FUNCTIONS in library.py.
#define AXIAL_FUNCTIONS(ENTRY)                  \
    ENTRY(forward, AxialForward)                \
    ENTRY(backward, AxialBackward)              \
    ENTRY(linear, AxialLinear)                  \
    ENTRY(weight_gradient, AxialWeightGradient) \
    ENTRY(norm_moments, AxialNorm)              \
    ENTRY(norm_forward, AxialNorm)              \
    ENTRY(norm_backward, AxialNorm)             \
    ENTRY(moments_forward, AxialMoments)        \
    ENTRY(moments_backward, AxialMoments)       \
    ENTRY(slots, AxialSlots)                    \
    ENTRY(program, AxialProgram)

// `isa` is one of the above and must be supported. If `parallel` is null, the call starts its own threads.
#define AXIAL_PROTOTYPE(function, structure) int axial_##function(const structure* arguments, int isa, int threads, AxialParallel parallel);
AXIAL_FUNCTIONS(AXIAL_PROTOTYPE)

#ifdef __cplusplus
}
#endif
#endif
