// The kernel as operators of TensorFlow on CPUs, over TensorFlow's C interface: "AxialzooAttention" computes a Layer, and "AxialzooRun"
// calls any function of the kernel. The arguments of the latter are a tensor, because a graph may not know sizes when it is built.
#include <cstdio>
#include <memory>
#include <vector>

#include "layer.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

namespace {

constexpr const char* NAME = "AxialzooAttention";
constexpr const char* INPUTS[] = {"x: float",           "weight: float", "bias: float",           "query_table: float", "key_table: float",
                                  "value_table: float", "scales: float", "position_scale: float", "shift: float"};
constexpr const char* ATTRIBUTES[] = {"axis", "key_depth", "span", "content_similarity", "content_value", "isa", "threads"};
constexpr int COUNT = sizeof(INPUTS) / sizeof(*INPUTS), SETTINGS = sizeof(ATTRIBUTES) / sizeof(*ATTRIBUTES);
enum { X, WEIGHT, BIAS, QUERY_TABLE, KEY_TABLE, VALUE_TABLE, SCALES, POSITION_SCALE, SHIFT };

struct Status {
    TF_Status* status = TF_NewStatus();
    ~Status() { TF_DeleteStatus(status); }
    bool ok() const { return TF_GetCode(status) == TF_OK; }
};

struct Settings {
    int64_t axis, key_depth, span, content_similarity, content_value, isa, threads;
};

void* create(TF_OpKernelConstruction* context) {
    int64_t values[SETTINGS] = {};
    Status status;
    for (int i = 0; i < SETTINGS && status.ok(); ++i) TF_OpKernelConstruction_GetAttrInt64(context, ATTRIBUTES[i], &values[i], status.status);
    if (!status.ok()) {
        TF_OpKernelConstruction_Failure(context, status.status);
        return nullptr;
    }
    return new Settings{values[0], values[1], values[2], values[3], values[4], values[5], values[6]};
}

void forget(void* settings) { delete static_cast<Settings*>(settings); }

struct Inputs {
    TF_Tensor* tensors[COUNT] = {};
    ~Inputs() {
        for (TF_Tensor* tensor : tensors) {
            if (tensor != nullptr) TF_DeleteTensor(tensor);
        }
    }
    int64_t side(int i, int dimension) const { return TF_Dim(tensors[i], dimension); }
    float* floats(int i) const { return TF_TensorElementCount(tensors[i]) == 0 ? nullptr : static_cast<float*>(TF_TensorData(tensors[i])); }
    Array array(int i) const { return Array{floats(i), side(i, 0)}; }
};

void compute(void* kernel, TF_OpKernelContext* context) {
    const Settings& s = *static_cast<Settings*>(kernel);
    Status status;
    Inputs in;
    for (int i = 0; i < COUNT && status.ok(); ++i) TF_GetInput(context, i, &in.tensors[i], status.status);
    if (!status.ok()) return TF_OpKernelContext_Failure(context, status.status);
    const int64_t size[] = {in.side(X, 0), in.side(X, 1), in.side(X, 2), in.side(SHIFT, 0)};
    const size_t bytes = sizeof(float) * size[0] * size[1] * size[2] * size[3];
    const std::unique_ptr<TF_Tensor, void (*)(TF_Tensor*)> out(TF_AllocateOutput(context, 0, TF_FLOAT, size, 4, bytes, status.status),
                                                               TF_DeleteTensor);
    if (!status.ok()) return TF_OpKernelContext_Failure(context, status.status);
    const Layer layer{in.floats(X), size[0], size[1], size[2], in.side(X, 3), in.floats(WEIGHT), in.floats(BIAS),
                      in.array(QUERY_TABLE), in.array(KEY_TABLE), in.array(VALUE_TABLE), in.floats(SCALES), in.side(SCALES, 1),
                      in.floats(POSITION_SCALE), in.floats(SHIFT), size[3], static_cast<float*>(TF_TensorData(out.get())),
                      s.axis, s.key_depth, s.span, s.content_similarity, s.content_value};
    const int code = attend(layer, static_cast<int>(s.isa), static_cast<int>(s.threads), nullptr);
    if (code == 0) return;
    TF_SetStatus(status.status, code == 1 ? TF_RESOURCE_EXHAUSTED : TF_FAILED_PRECONDITION, message_of(code));
    TF_OpKernelContext_Failure(context, status.status);
}

constexpr const char* RUN = "AxialzooRun";
constexpr const char* RUN_ATTRIBUTES[] = {"function", "isa", "threads"};
enum { DATA, SHAPES, ARRAYS };  // inputs: the arguments, rank and sides of each result, arrays

struct RunSettings {
    int64_t function, isa, threads;
};

void* create_run(TF_OpKernelConstruction* context) {
    int64_t values[3] = {};
    Status status;
    for (int i = 0; i < 3 && status.ok(); ++i) TF_OpKernelConstruction_GetAttrInt64(context, RUN_ATTRIBUTES[i], &values[i], status.status);
    if (!status.ok()) {
        TF_OpKernelConstruction_Failure(context, status.status);
        return nullptr;
    }
    return new RunSettings{values[0], values[1], values[2]};
}

void forget_run(void* settings) { delete static_cast<RunSettings*>(settings); }

void compute_run(void* kernel, TF_OpKernelContext* context) {
    using Tensor = std::unique_ptr<TF_Tensor, void (*)(TF_Tensor*)>;
    const RunSettings& s = *static_cast<RunSettings*>(kernel);
    Status status;
    std::vector<Tensor> tensors;
    const int inputs = TF_NumInputs(context), outputs = TF_NumOutputs(context);
    for (int i = 0; i < inputs && status.ok(); ++i) {
        TF_Tensor* tensor = nullptr;
        TF_GetInput(context, i, &tensor, status.status);
        tensors.emplace_back(tensor, TF_DeleteTensor);
    }
    if (!status.ok()) return TF_OpKernelContext_Failure(context, status.status);
    const int64_t* sides = static_cast<int64_t*>(TF_TensorData(tensors[SHAPES].get()));
    for (int i = 0; i < outputs && status.ok(); ++i) {
        const int64_t rank = *sides++;
        size_t bytes = sizeof(float);
        for (int64_t d = 0; d < rank; ++d) bytes *= static_cast<size_t>(sides[d]);
        tensors.emplace_back(TF_AllocateOutput(context, i, TF_FLOAT, sides, static_cast<int>(rank), bytes, status.status), TF_DeleteTensor);
        sides += rank;
    }
    if (!status.ok()) return TF_OpKernelContext_Failure(context, status.status);
    const TF_Tensor* fields = tensors[DATA].get();
    const auto address = [&](int64_t number) { return TF_TensorData(tensors[ARRAYS + number].get()); };
    const int code = run(s.function, static_cast<int64_t*>(TF_TensorData(fields)), TF_TensorElementCount(fields) / 2, static_cast<int>(s.isa),
                         static_cast<int>(s.threads), nullptr, address);
    if (code == 0) return;
    TF_SetStatus(status.status, code == 1 ? TF_RESOURCE_EXHAUSTED : TF_FAILED_PRECONDITION, message_of(code));
    TF_OpKernelContext_Failure(context, status.status);
}

// Python sets the shapes.
void unknown_shapes(TF_ShapeInferenceContext* context, TF_Status* status) { TF_ShapeInferenceContextSetUnknownShape(context, status); }

// From (N, H, W, C) of x and (V) of the shift to (N, H, W, V).
void shape(TF_ShapeInferenceContext* context, TF_Status* status) {
    TF_ShapeHandle *x = TF_NewShapeHandle(), *values = TF_NewShapeHandle(), *out = TF_NewShapeHandle();
    TF_ShapeInferenceContextGetInput(context, X, x, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextGetInput(context, SHIFT, values, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextWithRank(context, x, 4, x, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextWithRank(context, values, 1, values, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSubshape(context, x, 0, 3, x, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextConcatenateShapes(context, x, values, out, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSetOutput(context, 0, out, status);
    for (TF_ShapeHandle* handle : {x, values, out}) TF_DeleteShapeHandle(handle);
}

// Runs while the library is loaded, when TensorFlow collects its operators.
const bool registered = [] {
    Status status;
    TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(NAME);
    for (const char* input : INPUTS) TF_OpDefinitionBuilderAddInput(op, input);
    TF_OpDefinitionBuilderAddOutput(op, "y: float");
    for (const char* attribute : ATTRIBUTES) {
        char text[64];
        snprintf(text, sizeof text, "%s: int", attribute);
        TF_OpDefinitionBuilderAddAttr(op, text);
    }
    TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shape);
    TF_RegisterOpDefinition(op, status.status);
    if (!status.ok()) return false;
    TF_RegisterKernelBuilder(NAME, TF_NewKernelBuilder(NAME, "CPU", create, compute, forget), status.status);
    if (!status.ok()) return false;
    op = TF_NewOpDefinitionBuilder(RUN);
    for (const char* input : {"fields: int64", "shapes: int64", "arrays: num_arrays * float"}) TF_OpDefinitionBuilderAddInput(op, input);
    TF_OpDefinitionBuilderAddOutput(op, "results: num_results * float");
    for (const char* attribute : {"num_arrays: int >= 1", "num_results: int >= 1", "function: int", "isa: int", "threads: int"}) {
        TF_OpDefinitionBuilderAddAttr(op, attribute);
    }
    TF_OpDefinitionBuilderSetShapeInferenceFunction(op, unknown_shapes);
    TF_RegisterOpDefinition(op, status.status);
    if (!status.ok()) return false;
    TF_RegisterKernelBuilder(RUN, TF_NewKernelBuilder(RUN, "CPU", create_run, compute_run, forget_run), status.status);
    return status.ok();
}();

}  // namespace
