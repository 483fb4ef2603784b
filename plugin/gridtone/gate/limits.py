"""Every threshold of the gate."""

from pydantic import BaseModel, ConfigDict, Field


class GateLimits(BaseModel):
    """What a rendition must keep to be heard. `docs/gate.md` says why each stands where it does."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    loudness_lufs: float = Field(-23.0, ge=-60, le=-10)
    """Integrated loudness that every track is brought to (ITU-R BS.1770-4)."""
    loudness_tolerance_lu: float = Field(0.5, gt=0, le=3)
    """How far the integrated loudness may be off, either way."""
    short_term_max_lu: float = Field(3.0, gt=0, le=20)
    """How far the loudness of any 3 s (EBU Tech 3341 short-term) may stand above the integrated one."""
    true_peak_max_dbtp: float = Field(-3.0, ge=-30, le=0)
    """Highest true peak, by four times oversampling."""
    dc_max_dbfs: float = Field(-45.0, ge=-90, le=-20)
    """Highest mean of any second of a channel."""
    click_ratio_max: float = Field(8.0, ge=3)
    """How far the third difference of the samples may stand above its largest value in the 20 ms around it."""
    silence_below_lu: float = Field(-35.0, ge=-60, le=-10)
    """Relative to the integrated loudness: what is quieter is dead air."""
    silence_max_seconds: float = Field(3.0, gt=0)
    """Longest dead air, the outer `silence_edge_seconds` apart."""
    silence_edge_seconds: float = Field(3.0, ge=0)
    """Seconds at both ends in which dead air does not count."""
    rise_max_lu: float = Field(6.0, gt=0)
    """Highest rise of the level within 100 ms."""
    rise_floor_lu: float = Field(-10.0, ge=-40, le=0)
    """Relative to the integrated loudness: what is quieter counts as this loud when a rise is measured, so that a soft note after a rest is no rise."""
    edge_level_max_lu: float = Field(-20.0, ge=-60, le=0)
    """Relative to the integrated loudness: highest level of the first and the last 20 ms."""
    tone_prominence_max_db: float = Field(10.0, gt=0)
    """How far a tone between 150 and 5000 Hz may stand above everything within ten semitones of it for 2 s; 5 dB less for 4 s, 10 dB less for 8 s."""
    pulse_share_max: float = Field(0.2, gt=0, le=1)
    """Largest share of the energy between 150 and 5000 Hz that goes on and off on the same pitches, regularly, at 0.5 to 8 Hz."""
    glide_max_semitones: float = Field(7.0, gt=0)
    """Widest continuous glide of an audible partial."""
    speech_band_share_max: float | None = Field(None, gt=0, le=1)
    """Largest share of the energy between 200 and 5000 Hz, where speech and alarms are heard; none if not given. For states that are close to an alarm."""
