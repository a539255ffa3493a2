// Reading a SentencePiece model (tokenizer.model, spiece.model): a protobuf ModelProto, by our own bounded reader.
//
// Source: sentencepiece_model.proto of google/sentencepiece; fields that are only of use to its trainer are skipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace automodel::tokenizer {

struct SentencePieceFile {
  enum PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  enum ModelType { kUnigram = 1, kBpe = 2, kWord = 3, kCharacter = 4 };
  struct Piece {
    std::string text;  // UTF-8
    float score = 0;
    PieceType type = kNormal;
  };

  struct Rules {
    std::string charsmap;  // compiled replacements of characters, as raw bytes; empty: none
    bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  };

  std::vector<Piece> pieces;  // by id
  ModelType model_type = kUnigram;
  int32_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;  // -1: none
  std::string unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
  std::string unk_surface = " \u2047 ";  // what an unknown piece decodes to
  bool byte_fallback = false, whitespace_as_suffix = false;
  Rules normalizer, denormalizer;  // of text before it is cut, and of decoded text (only if it has a charsmap)
};

/// True if the bytes begin as a ModelProto does: with the first piece. (A file of tiktoken ranks begins with base64.)
bool looks_like_sentencepiece(std::string_view bytes);

/// Throws DataError{"name: byte N"} for what is no ModelProto, pieces that are empty, not UTF-8 or more than 2^24,
/// types or model types that are unknown; SystemError if the file cannot be read or is larger than 1 GiB.
SentencePieceFile parse_sentencepiece(std::string_view bytes, const std::string& name);
SentencePieceFile read_sentencepiece(const std::filesystem::path& path);

/// Whether a file of this name is a SentencePiece model: NAME.model, and mistral-common's NAME.model.v3 and
/// NAME.model.v7m1 (the version of its instructions, and of its images).
bool is_sentencepiece_name(std::string_view name);
/// The second kind only.
bool is_versioned_sentencepiece_name(std::string_view name);

}  // namespace automodel::tokenizer
