#include "automodel/tokenizer/sentencepiece_file.h"

#include <cmath>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/protobuf_reader.h"
#include "automodel/tokenizer/vocabulary.h"

namespace automodel::tokenizer {

static std::string text_of(ProtobufReader& in) {
  const std::string_view text = in.bytes();
  if (find_invalid_utf8(text) != std::string::npos) in.fail("a text that is not UTF-8");
  return std::string(text);
}

static SentencePieceFile::Piece read_piece(ProtobufReader in) {
  SentencePieceFile::Piece piece;
  while (in.next()) {
    if (in.field() == 1) piece.text = text_of(in);
    if (in.field() == 2) piece.score = in.real();
    if (in.field() == 3) {
      const uint64_t type = in.integer();
      if (type < SentencePieceFile::kNormal || type > SentencePieceFile::kByte)
        in.fail(fmt::format("the piece '{}' has the unknown type {}", piece.text, type));
      piece.type = static_cast<SentencePieceFile::PieceType>(type);
    }
  }
  if (piece.text.empty()) in.fail("a piece without text");
  if (!std::isfinite(piece.score)) in.fail(fmt::format("the score of the piece '{}' is not finite", piece.text));
  return piece;
}

static void read_trainer(ProtobufReader in, SentencePieceFile& file) {
  while (in.next()) {
    switch (in.field()) {
      case 3: {
        const uint64_t type = in.integer();
        if (type < SentencePieceFile::kUnigram || type > SentencePieceFile::kCharacter)
          in.fail(fmt::format("the model type {} is unknown", type));
        file.model_type = static_cast<SentencePieceFile::ModelType>(type);
        break;
      }
      case 24:
        file.whitespace_as_suffix = in.flag();
        break;
      case 35:
        file.byte_fallback = in.flag();
        break;
      case 40:
        file.unk_id = in.signed_integer();
        break;
      case 41:
        file.bos_id = in.signed_integer();
        break;
      case 42:
        file.eos_id = in.signed_integer();
        break;
      case 43:
        file.pad_id = in.signed_integer();
        break;
      case 44:
        file.unk_surface = text_of(in);
        break;
      case 45:
        file.unk_piece = text_of(in);
        break;
      case 46:
        file.bos_piece = text_of(in);
        break;
      case 47:
        file.eos_piece = text_of(in);
        break;
      case 48:
        file.pad_piece = text_of(in);
        break;
      default:
        break;
    }
  }
}

static void read_rules(ProtobufReader in, SentencePieceFile::Rules& rules) {
  while (in.next()) {
    switch (in.field()) {
      case 2:
        rules.charsmap = std::string(in.bytes());
        break;
      case 3:
        rules.add_dummy_prefix = in.flag();
        break;
      case 4:
        rules.remove_extra_whitespaces = in.flag();
        break;
      case 5:
        rules.escape_whitespaces = in.flag();
        break;
      default:
        break;
    }
  }
}

bool looks_like_sentencepiece(std::string_view bytes) { return !bytes.empty() && bytes[0] == '\n'; }

SentencePieceFile parse_sentencepiece(std::string_view bytes, const std::string& name) {
  SentencePieceFile file;
  ProtobufReader in(bytes, name);
  while (in.next()) {
    if (in.field() == 1) {
      file.pieces.push_back(read_piece(in.message()));
      if (file.pieces.size() > static_cast<size_t>(Vocabulary::kMaxId)) in.fail("the vocabulary is too large");
    } else if (in.field() == 2) {
      read_trainer(in.message(), file);
    } else if (in.field() == 3) {
      read_rules(in.message(), file.normalizer);
    } else if (in.field() == 5) {
      read_rules(in.message(), file.denormalizer);
    }
  }
  if (file.pieces.empty()) throw DataError(name, "holds no pieces: not a SentencePiece model");
  return file;
}

SentencePieceFile read_sentencepiece(const std::filesystem::path& path) {
  return parse_sentencepiece(read_file(path, uint64_t{1} << 30), path.string());
}

bool is_versioned_sentencepiece_name(std::string_view name) {
  const size_t at = name.rfind(".model.v");
  if (at == std::string_view::npos) return false;
  std::string_view version = name.substr(at + std::string_view(".model.v").size());
  const auto take_number = [&] {
    const size_t digits = std::min(version.find_first_not_of("0123456789"), version.size());
    version.remove_prefix(digits);
    return digits > 0;
  };
  if (!take_number()) return false;
  if (!version.starts_with('m')) return version.empty();
  version.remove_prefix(1);
  return take_number() && version.empty();
}

bool is_sentencepiece_name(std::string_view name) {
  return name.ends_with(".model") || is_versioned_sentencepiece_name(name);
}

}  // namespace automodel::tokenizer
