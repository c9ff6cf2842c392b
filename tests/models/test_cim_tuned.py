"""`cim-tuned`: what its encoder gives, what of it is kept, and what its inputs beside the features do."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from tests.features.loaded import extractor
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, alone, random_batch
from tests.models.tiny_encoder import load_tiny, tiny_encoder  # noqa: F401  (a fixture)

from mien.errors import DamagedFileError, UsageError
from mien.features.text.minilm import token_ids
from mien.models import build_model
from mien.models.batch import Times, Tokens
from mien.models.cim_tuned import (
    ENCODERS,
    CimTunedSettings,
    EncoderTuning,
    TokenEncoder,
    chunks_of_like_length,
    draw_kept_modalities,
)
from mien.schema import Modality
from mien.tasks import PAPER_TASKS
from mien.training.batching import Scaling
from mien.training.checkpoint import learned_weights, model_weights, restore_model, save_weights
from mien.training.loop import make_optimizer
from mien.training.train_settings import TrainSettings

pytestmark = pytest.mark.usefixtures("tiny_encoder")

T, A, V = Modality.TEXT, Modality.ACOUSTIC, Modality.VISUAL
TINY = {"encoder": "tiny", "gru_size": 5, "dense_size": 3, "fused_size": 7}
TEXTS = ["I love it.", "Never again, not in my whole life, said the old man to his dog!", "um", "It was fine, I guess."]


def network(inputs=(T, A, V), **changes):
    torch.manual_seed(0)
    features = {m: N_FEATURES[m] for m in inputs}
    settings = CimTunedSettings(**TINY | changes)
    return build_model("cim-tuned", features, (SENTIMENT,), settings).eval()


def sentiment(net, batch):
    return net(batch).logits[SENTIMENT.name][batch.real]


def tokens_of(texts):
    pieces = token_ids(texts)
    lengths = torch.tensor([len(each) for each in pieces])
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for row, each in zip(ids, pieces, strict=True):
        row[: len(each)] = torch.tensor(each)
    return ids, lengths


@pytest.fixture(scope="module")
def minilm():
    """The packaged encoder, with adapters as they begin."""
    torch.manual_seed(0)
    return TokenEncoder(ENCODERS["minilm"](0.1), EncoderTuning.ADAPTERS, rank=16, alpha=32.0).eval()


def test_the_packaged_encoder_begins_as_the_minilm_extractor(minilm):
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(minilm(*tokens_of(TEXTS)), dim=-1)
    expected, _ = extractor("minilm").utterance_vectors(TEXTS)
    torch.testing.assert_close(vectors, torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


def test_only_the_adapters_of_the_packaged_encoder_are_learned_and_kept(minilm, tmp_path):
    kept = learned_weights(minilm)
    assert sum(each.numel() for each in kept.values()) == 6 * 16 * (4 * (384 + 384) + 2 * (384 + 1536)) == 663_552
    assert all("lora_" in name for name in kept)
    torch.manual_seed(0)
    whole = build_model("cim-tuned", {T: 0}, tuple(PAPER_TASKS.values()))
    save_weights(tmp_path / "weights.safetensors", learned_weights(whole))
    assert (tmp_path / "weights.safetensors").stat().st_size <= 8_000_000


def test_two_steps_teach_the_packaged_encoder_and_leave_its_own_weights(minilm):
    minilm = copy.deepcopy(minilm)
    before = {name: each.clone() for name, each in minilm.named_parameters()}
    ids, lengths = tokens_of(TEXTS)
    optimizer = make_optimizer(minilm, TrainSettings(learning_rate=1e-3))
    losses = []
    for _ in range(2):
        loss = minilm(ids, lengths).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    changed = {name for name, each in minilm.named_parameters() if not torch.equal(each, before[name])}
    assert changed == {name for name, each in minilm.named_parameters() if each.requires_grad}


def test_full_tuning_keeps_every_weight_and_writes_into_no_other_network():
    one = TokenEncoder(ENCODERS["minilm"](0.0), EncoderTuning.FULL, rank=1, alpha=1.0)
    assert set(learned_weights(one)) == set(one.state_dict())
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.zero_()
    other = TokenEncoder(ENCODERS["minilm"](0.0), EncoderTuning.FROZEN, rank=1, alpha=1.0)
    assert learned_weights(other) == {}
    assert all(each.abs().sum() > 0 for each in other.parameters())


def test_an_utterance_is_encoded_the_same_whatever_stands_beside_it():
    encoder = TokenEncoder(load_tiny(0.0), EncoderTuning.FROZEN, rank=1, alpha=1.0).double().eval()
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 60, (50,), generator=generator)
    ids = torch.randint(1, 97, (50, 60), generator=generator) * (torch.arange(60) < lengths.unsqueeze(1))
    together = encoder(ids, lengths)
    for row in (0, 7, 49):
        torch.testing.assert_close(
            encoder(ids[row : row + 1, : lengths[row]], lengths[row : row + 1])[0], together[row]
        )


def test_chunks_hold_like_lengths_and_few_places():
    lengths = [100, 90, 81, 79, 30, 30, 30, 5]
    found = [lengths[rows] for rows in chunks_of_like_length(lengths, most_tokens=200, least_share=0.8)]
    # 3 x 100 places would be too many; 79 is less than 0.8 x 81 nowhere, but 30 is
    assert found == [[100, 90], [81, 79], [30, 30, 30], [5]]
    assert list(chunks_of_like_length([], 200, 0.8)) == []
    assert list(chunks_of_like_length([500], 200, 0.8)) == [slice(0, 1)]


def test_word_pieces_behind_the_limit_do_not_matter():
    batch = random_batch((5, 2, 3))
    cut = replace(batch, tokens=Tokens(batch.tokens.ids.clone(), batch.tokens.lengths))
    cut.tokens.ids[:, 4:] = 55
    assert (batch.tokens.lengths > 4).any()
    short, long = network(max_tokens=4), network(max_tokens=9)
    torch.testing.assert_close(sentiment(short, cut), sentiment(short, batch))
    assert not torch.allclose(sentiment(long, cut), sentiment(long, batch))


def test_times_are_heard_unless_they_are_unknown_or_switched_off():
    batch = random_batch((5, 2, 3))
    later = replace(batch, times=replace(batch.times, end_s=batch.times.end_s + 2 * batch.times.known))
    assert not torch.allclose(sentiment(network(), batch), sentiment(network(), later))
    deaf = network(times=False)
    assert torch.equal(sentiment(deaf, batch), sentiment(deaf, later))
    unknown = [
        replace(batch, times=Times(batch.times.start_s + filler, batch.times.end_s, torch.zeros_like(batch.real)))
        for filler in (0.0, 17.0)
    ]
    assert torch.equal(*(sentiment(network(), each) for each in unknown))
    torch.testing.assert_close(sentiment(network(), unknown[0]), sentiment(network(), replace(batch, times=None)))


def test_speakers_are_heard_only_if_the_setting_says_so():
    batch = random_batch((5, 2, 3))
    alternating = torch.tensor([[0, 1, 0, 1, 0], [2, 3, -1, -1, -1], [4, 4, 4, -1, -1]])
    spoken, swapped = (replace(batch, speakers=each) for each in (alternating, alternating.flip(0)))
    deaf = network()
    assert torch.equal(sentiment(deaf, spoken), sentiment(deaf, batch))
    assert {n: w.shape for n, w in deaf.state_dict().items()} == {
        n: w.shape for n, w in network(speakers=False).state_dict().items()
    }
    hears = network(speakers=True)
    assert hears.grus[T].input_size == deaf.grus[T].input_size + 3
    assert not torch.allclose(sentiment(hears, spoken), sentiment(hears, swapped))
    unknown = replace(batch, speakers=torch.full_like(alternating, -1))
    torch.testing.assert_close(sentiment(hears, unknown), sentiment(hears, batch))


def test_padding_does_not_change_what_is_heard_of_speakers():
    batch = random_batch((5, 2, 3))
    speakers = torch.tensor([[0, 1, 0, 1, 0], [2, 3, -1, -1, -1], [4, -1, 4, -1, -1]])
    net = network(speakers=True)
    together = net(replace(batch, speakers=speakers)).logits[SENTIMENT.name]
    for video, length in enumerate((5, 2, 3)):
        single = replace(alone(batch, video), speakers=speakers[video : video + 1, :length])
        torch.testing.assert_close(net(single).logits[SENTIMENT.name][0], together[video, :length])


@pytest.mark.parametrize("kept", ["recurrence", "attention"])
def test_context_reaches_an_utterance_by_recurrence_and_by_attention_and_by_nothing_else(kept):
    """With one of the two, another utterance of the video is heard; with neither, only times tell of the others."""
    off = {"recurrence": False, "attention": False, "times": False}
    batch = random_batch((5, 2, 3), (T, A))
    first, others = (1, 0), (1, 1)
    changed = batch.features[A].clone()
    changed[others] += 1.0
    apart = replace(batch, features=batch.features | {A: changed})
    for switches, heard in ((off, False), (off | {kept: True}, True)):
        net = network((T, A), **switches)
        before, after = net(batch).logits[SENTIMENT.name], net(apart).logits[SENTIMENT.name]
        assert not torch.allclose(before[others], after[others])
        assert bool((before[first] != after[first]).any()) is heard
        assert set(net(batch).attention) == (
            {"text->text", "text->acoustic", "acoustic->text", "acoustic->acoustic"} if switches["attention"] else set()
        )
    both_off = network((T, A), **off | {"times": True})
    assert torch.equal(both_off(batch).logits[SENTIMENT.name][first], both_off(apart).logits[SENTIMENT.name][first])


@pytest.mark.parametrize("own_layers", [True, False])
def test_a_task_teaches_the_layer_before_another_head_only_where_they_share_it(own_layers):
    settings = CimTunedSettings(**TINY, own_layers=own_layers)
    torch.manual_seed(0)
    net = build_model("cim-tuned", {T: 0}, (SENTIMENT, EMOTION), settings).eval()
    net(random_batch((5, 2, 3), (T,))).logits[SENTIMENT.name].square().sum().backward()
    taught = {name: each.grad is not None and bool(each.grad.any()) for name, each in net.named_parameters()}
    layers = {name: learned for name, learned in taught.items() if name.startswith("fuse.") and "weight" in name}
    expected = (
        {"fuse.sentiment.weight": True, "fuse.emotion.weight": False} if own_layers else {"fuse.shared.weight": True}
    )
    assert layers == expected
    assert taught["grus.text.weight_hh_l0"]
    assert not taught["heads.emotion.weight"]


def test_weights_of_the_network_with_one_layer_for_all_are_refused_by_name():
    scaling = Scaling(mean={}, scale={})
    weights = model_weights({"network": network((T,), own_layers=False)}, scaling)
    restore_model(network((T,), own_layers=False), weights, ())
    told = r"missing or unexpected: fuse.sentiment.bias, .*fuse.shared.weight.*; another version .*: train it again"
    with pytest.raises(DamagedFileError, match=told):
        restore_model(network((T,)), weights, ())


@pytest.mark.parametrize("inputs", [(T,), (T, A), (T, A, V)])
def test_every_modality_attends_to_itself_and_to_each_other(inputs):
    batch = random_batch((5, 2, 3), inputs)
    attention = network(inputs)(batch).attention
    assert set(attention) == {f"{asks}->{answers}" for asks in inputs for answers in inputs}
    for weights in attention.values():
        torch.testing.assert_close(weights.sum(dim=-1)[batch.real], torch.ones(10))
        assert not weights[1, :2, 2:].any(), "padding takes no attention"


def test_modality_dropout_leaves_every_video_something():
    torch.manual_seed(0)
    kept = draw_kept_modalities(7000, 3, rate=0.5)
    assert kept.any(dim=1).all()
    subsets, counts = kept.unique(dim=0, return_counts=True)
    assert len(subsets) == 7
    whole = int(counts[subsets.all(dim=1)])
    # four standard errors of binomial counts
    assert abs(whole - 3500) < 4 * math.sqrt(7000 / 4)
    assert (counts[~subsets.all(dim=1)] - 3500 / 6).abs().max() < 4 * math.sqrt(3500 / 6)
    assert draw_kept_modalities(100, 3, rate=0.0).all()


def test_modality_dropout_is_for_training_and_for_more_than_one_modality():
    batch = random_batch((5, 2, 3))
    calm = {"encoder_dropout": 0.0, "input_dropout": 0.0, "dense_dropout": 0.0, "fused_dropout": 0.0}
    dropping, whole = network(modality_dropout=0.9, **calm), network(modality_dropout=0.0, **calm)
    assert torch.equal(sentiment(dropping, batch), sentiment(whole, batch))
    torch.manual_seed(0)
    assert not torch.allclose(sentiment(dropping.train(), batch), sentiment(whole.train(), batch))
    alone = random_batch((5, 2, 3), (T,))
    only = network((T,), modality_dropout=0.9, **calm)
    assert torch.equal(sentiment(only, alone), sentiment(only.train(), alone))


def test_modality_dropout_leaves_a_video_the_only_modality_it_has():
    batch = random_batch((2,) * 40)
    batch = replace(batch, present={T: batch.real, A: batch.real & False, V: batch.real & False})
    heard = network(modality_dropout=0.99).train()._present_after_dropout(batch)
    assert torch.equal(heard[T], batch.real)
    assert not (heard[A] | heard[V]).any()


def test_a_subset_of_the_modalities_is_judged_as_if_the_others_were_missing():
    net, batch = network(), random_batch((5, 2, 3))
    for lost in (A, V):
        batch = replace(batch, present=batch.present | {lost: torch.zeros_like(batch.real)})
    garbled = replace(batch, features=batch.features | {A: batch.features[A] * float("nan")})
    assert torch.isfinite(sentiment(net, batch)).all()
    assert torch.equal(sentiment(net, batch), sentiment(net, garbled))


def test_text_features_in_the_place_of_tokens_are_refused():
    with pytest.raises(UsageError, match="Expected the tokens .* encoder='none'"):
        network((T,))(replace(random_batch((5,), (T,)), tokens=None))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"encoder": "bert"}, "Expected encoder to be minilm, tiny or none, but got 'bert'"),
        ({"tuning": "half"}, "Expected tuning to be one of adapters, full, frozen"),
        ({"modality_dropout": 1.0}, r"Expected modality_dropout in \[0, 1\)"),
        ({"max_tokens": 257}, "Expected max_tokens to be at most 256, but got 257"),
        ({"adapter_rank": 0}, "Expected adapter_rank to be at least 1"),
    ],
)
def test_wrong_settings_are_told(wrong, told):
    with pytest.raises(ValueError, match=told):
        CimTunedSettings(**wrong)


def test_the_encoders_limit_of_word_pieces_itself_is_accepted():
    assert CimTunedSettings(max_tokens=256).max_tokens == 256


def test_default_cim_tuned_settings():
    assert dataclasses.asdict(CimTunedSettings()) == {
        "encoder": "minilm",
        "tuning": "adapters",
        "adapter_rank": 16,
        "adapter_alpha": 32.0,
        "encoder_dropout": 0.1,
        "max_tokens": 128,
        "gru_size": 200,
        "dense_size": 128,
        "fused_size": 256,
        "input_dropout": 0.1,
        "dense_dropout": 0.2,
        "fused_dropout": 0.2,
        "modality_dropout": 0.5,
        "times": True,
        "speakers": False,
        "own_layers": True,
        "recurrence": True,
        "attention": True,
    }
