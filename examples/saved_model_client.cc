// Draws pictures from a SavedModel that `tfgen export RUN` wrote, without Python, and writes them one below the other as
// a PGM file, or a PPM file if they have colours. TensorFlow's wheel brings headers and libraries along:
//
//   TF=$(python -c "import tensorflow, pathlib; print(pathlib.Path(tensorflow.__file__).parent)")
//   g++ -std=c++17 -O1 -w -I"$TF/include" saved_model_client.cc -o saved_model_client -L"$TF" -Wl,-rpath,"$TF" \
//     -Wl,--no-as-needed -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2
//   ./saved_model_client runs/vae/export 16 0 samples.pgm 17
//
// The arguments are the folder, how many pictures, a seed as `model.sample` takes it in Python, the file, and how many
// levels the pictures have (256 unless given; card.json tells).

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

namespace tf = tensorflow;

int fail(const std::string& path, const std::string& reason) {
  std::cerr << path << ": " << reason << std::endl;
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 5 || std::atoi(argv[2]) < 1 || std::atoi(argv[3]) < 0) {
    std::cerr << "usage: " << argv[0] << " SAVED_MODEL COUNT SEED OUT.pgm [LEVELS]" << std::endl;
    return 2;
  }
  const std::string path = argv[1], out = argv[4];
  const int levels = argc > 5 ? std::atoi(argv[5]) : 256;

  tf::SavedModelBundleLite model;
  tf::Status status = tf::LoadSavedModel(tf::SessionOptions(), tf::RunOptions(), path, {"serve"}, &model);
  if (!status.ok()) return fail(path, std::string(status.message()));
  const auto signature = model.GetSignatures().find("sample");
  if (signature == model.GetSignatures().end()) return fail(path, "has no signature 'sample'");

  // The second number of a seed is what does not fit into 31 bits of Python's.
  tf::Tensor count(tf::DT_INT32, {}), seed(tf::DT_INT32, tf::TensorShape({2}));
  count.scalar<int>()() = std::atoi(argv[2]);
  seed.vec<int>()(0) = std::atoi(argv[3]);
  seed.vec<int>()(1) = 0;
  std::vector<std::pair<std::string, tf::Tensor>> inputs;
  for (const auto& [name, tensor] : signature->second.inputs()) {
    if (name != "count" && name != "seed") return fail(path, "sample takes " + name + ", too");
    inputs.emplace_back(tensor.name(), name == "count" ? count : seed);
  }
  const auto image = signature->second.outputs().find("image");
  if (image == signature->second.outputs().end()) return fail(path, "sample gives no pictures");

  std::vector<tf::Tensor> answers;
  status = model.GetSession()->Run(inputs, {image->second.name()}, {}, &answers);
  if (!status.ok()) return fail(path, std::string(status.message()));
  const tf::Tensor& pictures = answers[0];  // uint8 (count, height, width, channels)
  const bool grey = pictures.dim_size(3) == 1;
  std::ofstream file(out, std::ios::binary);
  file << (grey ? "P5" : "P6") << "\n" << pictures.dim_size(2) << " " << pictures.dim_size(0) * pictures.dim_size(1)
       << "\n" << levels - 1 << "\n" << pictures.tensor_data();
  file.close();
  return file ? 0 : fail(out, "cannot be written");
}
